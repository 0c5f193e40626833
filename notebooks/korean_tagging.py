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
# # 한국어 태깅
#
# **물음.** 같은 낱말에 붙는 세 층위의 레이블을 한 줄기로 함께 배우면 따로 배울 때보다 나은가? 그리고 다른 도메인에서도 그러한가?
#
# **자료.** 카이스트 말뭉치(LREC 2018 판)로 배우고 같은 말뭉치의 시험 문장에서 잰다. 과제는 품사(UPOS), 첫 형태소의 부류(17개), 하위 유형을 뗀 의존
# 관계이며 지표는 낱말 정확도이다. 같은 모형을 다른 도메인인 GSD 말뭉치의 시험 문장에서도 잰다. 이때 모형을 다시 배우지 않고, 카이스트의 검증 자료로 고른
# 시점의 모형을 그대로 쓴다. 두 말뭉치는 주석 관례도 다르므로 그 차이가 모두 도메인의 차이인 것은 아니다.
#
# **비교 대상.** 과제마다 모형을 따로 두는 단일 과제 학습이 기준이다. 하드 공유는 임베딩부터 마지막 층까지 모두 나누어 쓰며, 균등 가중과 내쉬 가중을
# 적용한다. 줄기는 낱말을 읽는 텍스트 CNN이고, 드문 낱말은 끝 글자로 읽는다. 하드 공유 대 단일 과제, 내쉬 대 균등의 두 비교는 결과를 보기 전에 정하였다.
#
# **단순 기준선.** 신경망이 문맥에서 무엇을 배웠는지는 문맥을 보지 않는 방법과 견주어야 알 수 있다. 가장 흔한 표지 하나, 그리고 학습 문장에서 그 낱말에
# 가장 흔히 붙은 표지를 같은 학습 문장과 같은 시험 문장에 적용하였다. 학습에 없던 낱말에는 전체에서 가장 흔한 표지를 준다. 발표된 수치와는 견주지 않는다.
# 빠른 프로필은 학습 문장의 일부만 쓰며, 의존 관계만 예측하고 지배소를 찾지 않으므로 구문 분석의 점수와 조건이 다르다.

# %% tags=["parameters"]
profile = "quick"
seeds = ""

# %%
import mtlstudy as ms

base = ms.experiments.base
study = base.experiment("korean")
data = "korean_tagging"
frames = [study.of(base.table(name, profile), data, seeds) for name in study.TABLES]
results, runs, curves, further, confusion, baselines, missing = frames
values = study.values(*frames)[data]
ms.tables.bullets(values["missing"])

# %% [markdown]
# ## 과제별 점수
#
# 값은 시험 자료에서 잰 시드 평균이다. 시드가 여섯 개 이상이면 구간은 BCa 부트스트랩 95 % 구간이고, 그보다 적으면 최솟값과 최댓값이다.

# %%
ms.show(study.scores(results, further, data), "한국어 태깅: 과제별 시험 점수", "tab-korean-tagging-scores")

# %% mystnb={"figure": {"caption": "한국어 태깅의 과제별 시험 점수. 점은 시드, 세로 막대는 평균, 가로 선은 구간이다. 파선은 단순 기준선의 시드 평균이고, 점선인 다수 범주는 그만큼 낮은 모형이 있는 과제에만 그렸다. 윗줄은 카이스트, 아랫줄은 GSD에서 잰 것이다.", "name": "fig-korean-tagging-scores"}, "image": {"alt": "세 과제와 두 시험 말뭉치마다 단일 과제와 두 하드 공유의 시드별 시험 점수를 단순 기준선과 함께 나타낸 점 그림"}}
study.figures.scores(results, further, baselines)

# %% [markdown]
# ## 단순 기준선과의 비교
#
# 차이는 단일 과제 신경망에서 낱말별 최빈 표지를 뺀 값이며 시드를 짝지어 구한다. 음수이면 신경망이 진 것이다. 학습 자료에 없는 레이블은 어느 쪽도 평가하지
# 않는다.

# %%
sanity = study.sanity(results, further, baselines, data)
ms.show(sanity, "한국어 태깅: 단일 과제 신경망과 단순 기준선", "tab-korean-tagging-sanity")

# %% [markdown]
# ## 학습 과정, 혼동, 기울기 충돌

# %% mystnb={"figure": {"caption": "한국어 태깅의 학습 곡선. 실선은 검증 지표의 시드 평균, 띠는 시드의 범위, 점선은 학습 자료 앞부분의 지표이다. 세로 눈금은 과제마다 다르다.", "name": "fig-korean-tagging-curves"}, "image": {"alt": "세 과제의 검증 지표와 학습 지표가 학습 단계에 따라 변하는 모습을 방법별로 그린 선 그림"}}
study.figures.curves(curves)

# %% mystnb={"figure": {"caption": "카이스트 시험 문장에서 균등 가중 하드 공유가 예측한 품사의 혼동 행렬(시드 합). 칸의 수는 정답 부류 가운데 그렇게 예측된 비율(%)이며 0.5 % 미만은 비워 두었다. 괄호는 정답의 수이다.", "name": "fig-korean-tagging-confusion"}, "image": {"alt": "품사의 정답과 예측을 나타낸 혼동 행렬 열지도"}}
study.figures.confusion(confusion, "upos")

# %% mystnb={"figure": {"caption": "한국어 태깅에서 과제 기울기의 충돌. 위: 과제 쌍의 평균 코사인, 아래: 코사인이 음수인 쌍의 비율. 학습 중 기록한 단계들의 평균이며 점은 시드이다.", "name": "fig-korean-tagging-conflict"}, "image": {"alt": "하드 공유의 균등 가중과 내쉬 가중에서 과제 기울기의 평균 코사인과 음의 코사인 비율을 나타낸 점 그림"}}
study.figures.conflict(runs)

# %% [markdown]
# ## 검정과 결과
#
# Δm은 단일 과제에 대한 상대 개선율(%)의 과제 평균이며 **양수가 더 좋다**. 상대값이므로 기준값이 작은 과제에 크게 좌우된다. p는 Holm 방식으로 보정하였다.
# 이어지는 문장은 모두 위의 수치에서 계산된 것이다.

# %%
tests = ms.show(study.tests(results), "한국어 태깅: 미리 정한 비교의 짝지은 검정", "tab-korean-tagging-tests")
display(tests, ms.tables.bullets(values["findings"]), ms.stamp(profile))
