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
# # 가중 방식 비교
#
# **물음.** 하드 공유 모형에서 과제별 기울기를 내쉬 협상으로 결합하면 다른 가중 방식보다 나은가? 그렇다면 그 이득은 협상에서 오는가,
# 아니면 기울기의 크기를 맞추는 데서 오는가?

# %% tags=["parameters"]
profile = "quick"
data = ""
methods = ""
seeds = ""

# %%
from mtlstudy.study import claims, comparison, results, tables
from mtlstudy.study.figures import comparison as figures
from mtlstudy.study.figures.style import keep

found = results.load("weightings", profile, data, methods, seeds)
tables.bullets(claims.sentences(comparison.headline(found)))

# %% mystnb={"figure": {"caption": "단일 과제 학습에 대한 Δm. 점은 시드, 세로 막대는 평균, 가로 선은 구간이며 점선의 오른쪽이 단일 과제보다 좋은 쪽이다. 발산한 시드가 있으면 그 개수를 붉은 글씨로 적는다.", "name": "fig-comparison-delta-m"}, "image": {"alt": "자료별로 하드 공유의 일곱 가중 방식이 보인 시드별 Δm과 평균, 구간을 나타낸 점 그림"}}
figure = figures.delta_m(found)
keep(figure, profile, "delta_m_selection" if data or methods or seeds else "delta_m")
figure

# %% [markdown]
# ## 어떻게 쟀는가
#
# **비교 대상.** 기준은 과제마다 모형을 따로 학습하는 단일 과제 학습이다. 같은 줄기를 모든 과제가 나누어 쓰는 하드 공유에는 균등 가중,
# 척도 불변, 불확실성, 조율된 고정 가중, 동일 노름, 내쉬, 블록 내쉬의 일곱 가중 방식을 적용한다. 동일 노름은 각 과제의 기울기를 단위 길이로
# 맞추어 더하기만 하는 대조군으로, 이것을 넘어서지 못하는 결과를 내쉬 협상의 공으로 돌릴 수는 없다.
#
# **규약.** 모든 방법은 같은 조율 예산을 쓰며, 학습률은 보고하지 않는 시드에서 검증 자료만으로 고른다. 이어서 모든 방법을 새로운 공통 시드로
# 학습하고, 시험 자료는 마지막에 한 번만 사용한다. 내쉬 대 균등 가중, 내쉬 대 동일 노름, 검증 자료로 고른 하드 공유 방법 대 단일 과제의
# 세 비교는 결과를 보기 전에 정하였다.

# %% [markdown]
# ## 성능
#
# Δm은 단일 과제 학습에 대한 상대 개선율(%)이며 **양수가 더 좋다**. Nash-MTL 논문의 Δm은 부호가 반대여서 작을수록 좋다. 두 정의를 함께
# 적는다. 첫째는 모든 지표에 대한 평균이고, 둘째는 과제별 지표 평균을 다시 과제에 대해 평균한 값이다. 과제마다 지표가 하나이면 두 값은 같다.
# 구간은 시드를 짝지은 차이로 구한다. 시드가 여섯 개 이상이면 부호 순위 95 % 구간이고, 그보다 적으면 어떤 구간도 95 %를 담을
# 수 없으므로 최솟값과 최댓값을 그대로 적는다. 부정 전이는 단일 과제보다 2 % 넘게 나빠진 (과제, 시드) 쌍의 비율이다. 발산한 실행은 지우지 않고 개수를 적으며, 이때 평균은 남은 시드의 것이다.

# %%
comparison.tables(found)

# %% [markdown]
# ## 학습 과정과 비용
#
# 하드 공유에서는 가중 방식이 달라도 매개변수의 수와 연산이 거의 같다. 그림에서 값이 같은 방법은 보기 좋게 옆으로 벌려 그렸다. 한 단계에 드는 시간은
# 실행마다의 시계가 아니라 따로 마련한 벤치마크에서 잰다.

# %% mystnb={"figure": {"caption": "Δm과 비용. 왼쪽: 매개변수의 수, 오른쪽: 표본 하나의 FLOPs. 둘 다 단일 과제 학습을 1로 둔 로그 눈금이다.", "name": "fig-comparison-cost"}, "image": {"alt": "방법별 Δm을 매개변수 비율과 FLOPs 비율에 대해 그린 산점도"}}
figures.cost(found)

# %% mystnb={"figure": {"caption": "과제 기울기의 충돌. 위: 과제 쌍의 평균 코사인, 아래: 코사인이 음수인 쌍의 비율. 학습 중 기록한 단계들의 평균이며 점은 시드이다.", "name": "fig-comparison-conflict"}, "image": {"alt": "가중 방식별 과제 기울기의 평균 코사인과 음의 코사인 비율을 나타낸 점 그림"}}
figures.conflict(found)

# %% mystnb={"figure": {"caption": "학습 중 과제 가중치(단계마다 과제 중앙값을 1로 맞춤). 위: 동일 노름, 아래: 내쉬. 로그 척도. 과제가 적으면 시드 중앙값과 범위를 선과 띠로, 많으면 시드 중앙값을 색으로 나타내며 색 눈금 끝의 화살표는 눈금을 벗어난 값이 있음을 뜻한다.", "name": "fig-comparison-weights"}, "image": {"alt": "동일 노름과 내쉬 가중의 과제별 가중치가 학습 단계에 따라 변하는 모습"}}
figures.weights(found)

# %% [markdown]
# ## 검정과 결과
#
# 아래 표는 미리 정한 세 비교이다. 모든 자료를 합한 비교에서는 (자료, 시드) 쌍이, 자료별 비교에서는 시드가 짝이 된다. p는 비교 묶음마다 Holm
# 방식으로 보정하고, 80 %의 검정력으로 찾을 수 있던 차이를 함께 적는다. 이어지는 문장은 모두 위의 수치에서 계산된 것이다.

# %%
tables.show(
    comparison.differences(found), "미리 정한 비교: Δm 차이의 짝지은 검정", "tab-comparison-tests"
)

# %%
tables.bullets(claims.sentences(comparison.claims(found)))

# %%
tables.stamp(results.provenance(found.runs, profile))
