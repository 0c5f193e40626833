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
# # 한국어 실험
#
# **물음.** 한국어 과제들을 한 줄기로 함께 배우면 따로 배울 때보다 나은가? 매개변수 `data`는 `korean_sentences`(말뭉치가 서로 다른 다섯 문장
# 과제)이거나 `korean_tagging`(같은 낱말에 붙는 세 층위의 레이블)이다.

# %% tags=["parameters"]
profile = "quick"
data = "korean_sentences"
seeds = ""

# %%
from mtlstudy.study import claims, comparison, korean, mistakes, results, tables
from mtlstudy.study.figures import korean as figures
from mtlstudy.study.words import word

found = results.load(data, profile, seeds=seeds)
baselines = results.computed("baselines", profile)["baselines"]
tables.bullets(claims.sentences(korean.headline(found)))

# %% mystnb={"figure": {"caption": "과제별 시험 점수. 점은 시드, 세로 막대는 평균, 가로 선은 구간이다. 파선은 단순 기준선의 시드 평균이고, 점선인 다수 범주는 그만큼 낮은 모형이 있는 과제에만 그렸다."}, "image": {"alt": "과제와 시험 자료마다 단일 과제와 두 하드 공유의 시드별 시험 점수를 단순 기준선과 함께 나타낸 점 그림"}}
figures.scores(found, baselines)

# %% [markdown] tags=["about"]
# ## 어떻게 쟀는가
#
# **비교 대상.** 과제마다 모형을 따로 두는 단일 과제 학습이 기준이다. 하드 공유는 임베딩부터 마지막 층까지 모두 나누어 쓰며, 균등 가중과 내쉬 가중을
# 적용한다. 하드 공유 대 단일 과제, 내쉬 대 균등의 두 비교는 결과를 보기 전에 정하였다. 신경망이 무엇을 배웠는지는 같은 예에 적용한 단순 기준선과 견준다.
# 문장 과제들에서 글의 수에 따른 학습 곡선은 {doc}`overfitting`에, 과제를 둘씩 묶어 학습한 전이 행렬은 {doc}`transfer`에 있다.

# %% [markdown]
# ## 과제별 점수
#
# 값은 시험 자료에서 잰 시드 평균이다. 시드가 여섯 개 이상이면 구간은 부호 순위 95 % 구간이고, 그보다 적으면 최솟값과 최댓값이다.

# %%
missing = tables.bullets(claims.sentences(korean.missing(found)))
display(missing, korean.shown(found, "scores", korean.scores(found)))

# %% [markdown]
# ## 단순 기준선과의 비교

# %%
sanity = korean.sanity(found, baselines)
display(tables.prose(word(f"text.sanity.{data}")), korean.shown(found, "sanity", sanity))

# %% [markdown]
# ## 학습 과정, 혼동, 기울기 충돌

# %% mystnb={"figure": {"caption": "학습 곡선. 실선은 검증 지표의 시드 평균, 띠는 시드의 범위, 점선은 학습 자료 앞부분의 지표이다. 세로 눈금은 과제마다 다르다."}, "image": {"alt": "과제마다 검증 지표와 학습 지표가 학습이 진행되면서 변하는 모습을 방법별로 그린 선 그림"}}
figures.curves(found)

# %% mystnb={"figure": {"caption": "균등 가중 하드 공유의 혼동 행렬(시드 합). 칸의 수는 정답 부류 가운데 그렇게 예측된 비율(%)이며 0.5 % 미만은 비워 두었다. 괄호는 정답의 수이다."}, "image": {"alt": "과제마다 정답 부류와 예측 부류를 나타낸 혼동 행렬 열지도"}}
figures.confusion(found)

# %% mystnb={"figure": {"caption": "과제 기울기의 충돌. 위: 과제 쌍의 평균 코사인, 아래: 코사인이 음수인 쌍의 비율. 학습 중 기록한 단계들의 평균이며 점은 시드이다."}, "image": {"alt": "하드 공유의 균등 가중과 내쉬 가중에서 과제 기울기의 평균 코사인과 음의 코사인 비율을 나타낸 점 그림"}}
figures.conflict(found)

# %% [markdown]
# ## 틀린 예
#
# 분류 과제에서 두 모형이 틀린 시험 예의 수와, 종류마다 둘씩 무작위로 뽑은 예이다. 혐오와 편향의 댓글에는 실존하는 사람을 모욕하는 말이 있어 수만 싣는다.
# 유사도는 회귀이므로 빠진다. 태깅에서는 낱말을 「」로 표시하고 앞뒤의 낱말을 함께 적었다.

# %%
mistakes.tables(results.computed("mistakes", profile)["mistakes"], data, profile)

# %% [markdown]
# ## 검정과 결과
#
# Δm은 단일 과제에 대한 상대 개선율(%)의 과제 평균이며 **양수가 더 좋다**. 상대값이므로 기준값이 작은 과제에 크게 좌우된다. p는 Holm 방식으로 보정하였다.
# 이어지는 문장은 모두 위의 수치에서 계산된 것이다.

# %%
said = tables.bullets(claims.sentences(korean.claims(found, baselines)))
stamp = tables.stamp(results.provenance(found.runs, profile))
display(korean.shown(found, "tests", comparison.differences(found)), said, stamp)
