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
# # 과적합과 안정성
#
# **물음.** 학습 자료가 적을수록 공유가 더 도움이 되는가? 공유는 드롭아웃(dropout)이나 가중치 감쇠(weight decay)와 같은 규제(regularisation)를
# 대신하는가, 아니면 그 위에 더하는 것인가? 방법마다 시드에 따라 얼마나 흔들리는가?

# %% tags=["parameters"]
profile = "full"

# %%
from mtlstudy.study import claims, overfitting, results, tables
from mtlstudy.study.figures import overfitting as figures

found = results.computed("overfitting", profile)["overfitting"]
tables.bullets(claims.sentences(overfitting.judged(found)))

# %% mystnb={"figure": {"caption": "학습 예의 수에 따른 Δm. 선은 시드의 평균, 띠는 시드의 최솟값과 최댓값이다. 점선의 위쪽이 같은 수의 예로 배운 단일 과제보다 좋은 쪽이다.", "name": "fig-overfitting-delta-m"}, "image": {"alt": "자료와 규제마다 학습 예의 수에 따라 공유 구조들의 Δm이 변하는 모습을 띠와 함께 그린 선 그림"}}
figures.delta_m(found)

# %% [markdown]
# ## 어떻게 쟀는가
#
# **방법.** 공유된 몸통은 여러 과제의 레이블에서 함께 배우므로, 한 과제의 레이블만으로 배우는 모형보다 과적합(overfitting)이 덜하리라고 기대할 수 있다. 이
# 기대가 맞는다면 단일 과제에 대한 이득(Δm)은 예가 적을수록 커야 하고, 다른 규제를 더하면 작아져야 한다. 그래서 학습 예의 수와 규제를 바꾸면서
# 단일 과제와 공유 구조들을 *같은 수의 예, 같은 규제, 같은 시드*에서 견준다.
#
# **자료.** Yeast에서는 유전자 하나가 모든 과제의 레이블을 지니므로, 예를 줄이면 모든 과제의 예가 같은 유전자만큼 줄어든다. 한국어 문장에서는 과제마다
# 글이 다르며, 과제마다 같은 수의 글을 쓴다. 적은 예는 많은 예의 일부이고, 검증 자료와 시험 자료는 어느 크기에서나 같다. 문장을 나타내는 고정 벡터 가운데 학습
# 글의 통계에서 얻는 부분은 그 크기의 학습 글에서만 얻는다.
#
# **규약.** 학습률은 예를 모두 쓴 본 연구에서 방법마다 고른 값이며, 크기마다 다시 조정하지 않았다. 따라서 적은 예에서의 결과는 그 크기에 가장 알맞은
# 학습률의 결과가 아니다. Yeast에서는 드롭아웃도 고른 값 대신 이 실험이 정한 값을 쓰고, 계산을 줄이려고 학습 단계와 시드를 본 연구보다 적게 두었다. 드롭아웃과 가중치 감쇠를 한꺼번에 쓰는
# 조합은 계산하지 않았다. 가중치 감쇠는 Adam의 기울기에 더하는 L2 벌점이며, 감쇠를 매개변수에 바로 적용하는 방식(AdamW)이 아니다. 그 크기는 조정용 시드 하나에서
# 예를 모두 쓴 하드 공유의 검증 지표를 크게 떨어뜨리지 않는, 시험해 본 것 가운데 가장 큰 값으로 정했다. 한국어 문장에서는 규제를
# 방법마다 고른 값에 두고 예의 수만 바꾸므로, 드롭아웃이 방법마다 다를 수 있다. 계산이 오래 걸리는 MMoE와 내쉬 공유는 거기서 뺐다.
#
# 어느 실행이나 검증 지표가 가장 높았던 때의 모형을 시험한다. 곧 조기 종료(early stopping)가 이미 들어 있으며, 여기서 재는 것은 그러고도 남는 과적합이다. 그때를
# 단일 과제 모형은 과제마다 따로 고르고 공유 모형은 모든 과제에 하나를 고른다. 또 검증 자료는 줄이지 않았으므로, 가장 작은 크기에서는 검증 예가 학습
# 예보다 많다.
#
# **미리 정한 비교.** 방법마다 Δm을 예가 가장 적을 때와 가장 많을 때, 규제가 없을 때와 드롭아웃이 있을 때, 없을 때와 가중치 감쇠가 있을 때로 견준다. 시드를 짝지어
# 검정하며, 나머지 조건에 걸쳐 평균한 뒤에 견준다. 자료와 물음마다 방법들을 한 묶음으로 보고 Holm 방식으로 보정한다. 전체 프로필의 시드 수는 세 방법을
# 보정하고도 유의할 수 있는 가장 적은 수이다.

# %% [markdown]
# ## 얼마나 과적합하는가
#
# 일반화 간격(generalisation gap)은 고른 때의 학습 지표에서 검증 지표를 뺀 값이다. 학습 예에 한쪽 부류만 있는 과제는 학습 지표가 정의되지 않으므로 간격의
# 평균에서 뺀다. *가장 좋은 때*는 검증 지표가 과제마다 가장 높았던 때를 전체 학습에 대한 비율로 나타낸 것으로, 이를수록 일찍 과적합하기 시작했다는 뜻이다.

# %% mystnb={"figure": {"caption": "학습 예의 수에 따른 일반화 간격. 선은 시드의 평균, 띠는 시드의 최솟값과 최댓값이다.", "name": "fig-overfitting-gap"}, "image": {"alt": "자료와 규제마다 학습 예의 수에 따라 방법들의 일반화 간격이 변하는 모습을 띠와 함께 그린 선 그림"}}
figures.gap(found)

# %%
tables.bullets(claims.sentences(overfitting.found(found)))

# %% [markdown]
# ## 한국어 문장의 과제별 학습 곡선
#
# 글이 적은 과제가 다른 과제의 글에서 얻는 것이 있는지는 과제마다 다르다.

# %% mystnb={"figure": {"caption": "한국어 문장에서 과제마다의 글 수에 따른 단일 과제에 대한 상대 이득. 선은 시드의 평균, 띠는 시드의 최솟값과 최댓값이다.", "name": "fig-overfitting-tasks"}, "image": {"alt": "한국어 문장의 과제마다 학습 글의 수에 따라 하드 공유의 상대 이득이 변하는 모습을 그린 선 그림"}}
figures.tasks(found, "korean_sentences")

# %% [markdown]
# ## 표와 검정
#
# 시드 표준편차는 시험 지표 평균의 것이다. 시드는 학습 예와 검증 예를 뽑는 데에도 쓰이므로, 흔들림에는 초깃값과 예의 선택이 함께 들어 있다.

# %%
overfitting.tables(found)

# %% [markdown]
# 유의하지 않다는 것은 차이가 없다는 뜻이 아니다. 시드가 적어 작은 차이는 찾을 수 없으며, 표의 마지막 열이 찾을 수 있던 차이이다. 두 자료에서 얻은 결과를 다른
# 자료로 넓혀 말할 수는 없다.

# %%
origin = results.origin("overfitting", profile) | {"seeds": sorted(set(found["seed"]))}
tables.stamp(origin)
