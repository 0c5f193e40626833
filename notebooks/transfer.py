# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 부정적 전이와 과제 선택
#
# **물음.** 함께 배워서 도리어 나빠지는 부정적 전이(negative transfer)는 언제 일어나는가? 어느 과제가 어느 과제를 돕거나 해치며, 그것을 학습하기 전에,
# 또는 한 번의 학습만으로 미리 알 수 있는가?

# %% tags=["parameters"]
profile = "full"

# %%
from mtlstudy.study import claims, results, tables, transfer
from mtlstudy.study.figures import transfer as figures

frames = results.computed("transfer", profile)
tables.bullets(claims.sentences(transfer.found(frames)))

# %% mystnb={"figure": {"caption": "진실을 아는 자료에서 단일 과제에 대한 하드 공유의 Δm (%). 파란 쪽은 공유가 나은 곳, 붉은 쪽은 부정적 전이가 일어난 곳이다. 별표는 Holm 보정 뒤에도 유의한 칸이다.", "name": "fig-transfer-relatedness"}, "image": {"alt": "학습 예의 수마다 관련도와 너비에 따라 하드 공유의 Δm을 색과 숫자로 나타낸 열지도"}}
figures.relatedness(frames["relatedness"])

# %% mystnb={"figure": {"caption": "과제 쌍의 전이. 행의 과제가 열의 과제와 함께 학습할 때 단일 과제 모형보다 얻는 이득(%)의 평균. 대각은 하드 공유의 값으로 혼자 학습한 대조이다.", "name": "fig-transfer-matrix"}, "image": {"alt": "자료마다 과제 쌍의 이득을 색으로 나타낸 정사각 행렬"}}
figures.matrix(frames["transfer"])

# %% [markdown]
# ## 어떻게 쟀는가
#
# **진실을 아는 자료.** 네 과제가 교사(teacher) 하나의 특징을 함께 쓰는 합성 회귀 자료에서 공통 부분의 비율인 관련도(relatedness) $\rho$ 와 학습 예의 수,
# 몸통의 너비를 바꾸어 하드 공유와 단일 과제를 견준다. $\rho = 0$ 이면 과제마다 특징이 다르고 $\rho = 1$ 이면 모두 같다.
#
# **실제 자료.** 과제 둘씩 모든 쌍을 하드 공유와 균등 가중으로 함께 학습하여, 과제 $i$ 의 시험 지표가 과제 $j$ 와 함께 학습할 때($i \leftarrow j$) 혼자
# 학습한 단일 과제 모형보다 몇 % 나아지는지를 잰다. 한국어 문장의 경우에는 이것이 보조 과제를 하나씩 바꾸는 제거 실험(ablation)이기도 하다. 쌍의 학습은
# 하드 공유에서, 혼자 하는 학습은 단일 과제에서 골라진 학습률과 드롭아웃을 그대로 쓴다. 따라서 두 값의 차이에는 짝이 한 일뿐 아니라 골라진 값의 차이도
# 들어 있다. 이를 가르기 위해 과제 하나를 하드 공유의 값으로 혼자 학습한 대조($i \leftarrow i$)를 두고, 그것을 뺀 나머지를 *짝의 몫*이라 한다.
# 체크포인트는 쌍에서는 두 과제의 평균으로, 혼자 학습할 때에는 그 과제만으로 고르므로 짝의 몫에는 이 차이가 남아 있다.
#
# **미리 알 수 있는가.** 짝의 몫을 예측할 후보는 네 가지이다. 함께 학습하는 동안 기록한 과제 기울기(task gradient)의 코사인,
# {doc}`내쉬 공유 <../sharing/nash_share>`가 과제를 따로 움직여 보는 동안의 변위(drift)의 코사인, {doc}`친화도 묶음 <../sharing/tag>`의 한 걸음 앞보기
# 친화도(lookahead affinity) {cite:p}`fifty2021`, 그리고 학습 표지의 상관의 절댓값이다. 마지막 것은 과제들이 같은 입력을 쓰는 자료에서만 정의된다. 모두 학습 자료만으로
# 재며, 앞의 셋은 시드마다 한 번의 학습으로 얻는다. 쌍마다 따로 학습하여 묶음을 고르는 것은 {cite:t}`standley2020`의 방법이다.
#
# **규약.** 물음은 결과를 보기 전에 정하였다. 쌍마다 짝지은 시드의 부호 순위 검정을 하고 자료와 물음마다 Holm 방식으로 보정한다. 시드가 여섯보다
# 적으면 구간은 최솟값과 최댓값이다. 예측은 과제마다 짝들의 순위를 예측값과 견준 스피어만 상관(Spearman correlation)으로 재고, 과제를 표본의 단위로 삼아 구간과 검정을 낸다. 한 과제는 다른 과제의 짝이기도 하므로 이 상관들은
# 완전히 독립은 아니며, 구간은 그만큼 좁게 나온다. 시드를 둘로 나누어 한쪽의 짝의 몫으로 다른 쪽을 예측한 상관은 잡음이 허락하는 한계를 보여 준다.
#
# **줄인 것.** 합성 자료에서는 두 방법 모두 학습률 하나와 드롭아웃 없음으로 고정하고 따로 조정하지 않았다. Yeast는 쌍이 많아 시드의 수를 줄였다. 그 시드의 수로는
# 쌍마다의 판정이 원리상 나올 수 없으므로, Yeast의 쌍은 구간으로만 보이고 예측의 물음에 쓴다. 예측값은 앞의 몇 시드에서만 재었다. 실제 시드의 수는 아래에 있다.

# %%
tables.bullets(transfer.scale(frames))

# %% mystnb={"figure": {"caption": "예측값과 짝의 몫. 점은 과제 쌍이며, 두 축 모두 과제마다 짝들의 평균을 뺐다.", "name": "fig-transfer-affinity"}, "image": {"alt": "자료와 예측값마다 과제 쌍의 예측값과 측정한 짝의 몫을 나타낸 산점도"}}
figures.scatter(frames["transfer"], frames["affinity"])

# %% [markdown]
# ## 검정
#
# 첫째 표는 미리 정한 물음마다 몇 쌍이 0의 위와 아래에 있는지를, 둘째 표는 과제마다 어느 짝이 가장 나았는지를, 셋째 표는 무엇이 그것을 미리 알려 주는지를 보인다.
# 결과를 보고 고른 짝의 값은 고르는 일 자체 때문에 실제보다 좋아(나빠) 보인다.

# %%
transfer.tables(frames)

# %%
frame = frames["transfer"]
tables.stamp(results.origin("transfer", profile) | {"seeds": sorted(set(frame["seed"]))})
