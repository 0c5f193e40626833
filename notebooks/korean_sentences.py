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
# # 한국어 문장
#
# **물음.** 서로 다른 말뭉치에서 온 한국어 문장 과제들을 한 줄기로 함께 배우면 따로 배울 때보다 나은가?
#
# **자료.** 과제는 다섯이다. 감성은 네이버 영화평(NSMC), 혐오와 편향은 뉴스 댓글(BEEP!), 의도는 3i4K, 유사도는 KorSTS의 과제이다. 과제마다 문장이
# 따로 있는 다중 입력 문제이며, 혐오와 편향만 같은 댓글을 같은 분할로 쓴다. 지표는 각 자료의 관례를 따라 감성과 의도는 정확도, 혐오와 편향은 매크로 F1,
# 유사도는 스피어만 상관이고 피어슨 상관을 함께 적는다.
#
# **비교 대상.** 과제마다 모형을 따로 두는 단일 과제 학습이 기준이다. 하드 공유는 임베딩부터 마지막 층까지 모두 나누어 쓰며, 균등 가중과 내쉬 가중을
# 적용한다. 줄기는 음절을 읽는 텍스트 CNN이다. 하드 공유 대 단일 과제, 내쉬 대 균등의 두 비교는 결과를 보기 전에 정하였다.
#
# **단순 기준선.** 신경망이 무엇을 배웠는지는 단순한 방법과 견주어야 알 수 있다. 다수 범주, 그리고 문자 1~3그램의 TF-IDF에 로지스틱 회귀를 얹은 모형을
# 같은 학습 예와 같은 시험 예로 만들었다. 문장 쌍의 유사도에는 학습 없이 두 TF-IDF 벡터의 코사인을 쓴다. 발표된 수치와는 견주지 않는다. 빠른 프로필은
# 자료의 일부만 쓰고, 시험 글과 겹치는 학습 글을 뺐으며, 혐오와 편향의 시험은 공개된 개발 집합이어서 조건이 같지 않다.

# %% tags=["parameters"]
profile = "quick"
seeds = ""

# %%
import mtlstudy as ms

base = ms.experiments.base
study = base.experiment("korean")
data = "korean_sentences"
frames = [study.of(base.table(name, profile), data, seeds) for name in study.TABLES]
results, runs, curves, further, confusion, baselines, missing = frames
values = study.values(*frames)[data]
ms.tables.bullets(values["missing"])

# %% [markdown]
# ## 과제별 점수
#
# 값은 시험 자료에서 잰 시드 평균이다. 시드가 여섯 개 이상이면 구간은 BCa 부트스트랩 95 % 구간이고, 그보다 적으면 최솟값과 최댓값이다.

# %%
ms.show(study.scores(results, further, data), "한국어 문장: 과제별 시험 점수", "tab-korean-sentences-scores")

# %% mystnb={"figure": {"caption": "한국어 문장의 과제별 시험 점수. 점은 시드, 세로 막대는 평균, 가로 선은 구간이다. 파선은 단순 기준선의 시드 평균이고, 점선인 다수 범주는 그만큼 낮은 모형이 있는 과제에만 그렸다.", "name": "fig-korean-sentences-scores"}, "image": {"alt": "다섯 과제마다 단일 과제와 두 하드 공유의 시드별 시험 점수를 단순 기준선과 함께 나타낸 점 그림"}}
study.figures.scores(results, further, baselines)

# %% [markdown]
# ## 단순 기준선과의 비교
#
# 차이는 단일 과제 신경망에서 단순 기준선을 뺀 값이며 시드를 짝지어 구한다. 음수이면 신경망이 진 것이다. 로지스틱 회귀의 규제 강도 C는 신경망의 학습률처럼
# 보고하지 않는 시드의 검증 자료로 골랐다. 항상 같은 값을 내는 예측에는 상관이 정의되지 않으므로 유사도의 다수 범주 칸은 비어 있다.

# %%
sanity = study.sanity(results, further, baselines, data)
ms.show(sanity, "한국어 문장: 단일 과제 신경망과 단순 기준선", "tab-korean-sentences-sanity")

# %% [markdown]
# ## 학습 과정, 혼동, 기울기 충돌

# %% mystnb={"figure": {"caption": "한국어 문장의 학습 곡선. 실선은 검증 지표의 시드 평균, 띠는 시드의 범위, 점선은 학습 자료 앞부분의 지표이다. 세로 눈금은 과제마다 다르다.", "name": "fig-korean-sentences-curves"}, "image": {"alt": "다섯 과제의 검증 지표와 학습 지표가 학습 단계에 따라 변하는 모습을 방법별로 그린 선 그림"}}
study.figures.curves(curves)

# %% mystnb={"figure": {"caption": "균등 가중 하드 공유의 혼동 행렬(시드 합). 칸의 수는 정답 부류 가운데 그렇게 예측된 비율(%)이며 0.5 % 미만은 비워 두었다. 괄호는 정답의 수이다.", "name": "fig-korean-sentences-confusion"}, "image": {"alt": "혐오 세 부류와 의도 일곱 부류의 정답과 예측을 나타낸 혼동 행렬 열지도"}}
study.figures.confusion(confusion, "hate,intention")

# %% mystnb={"figure": {"caption": "한국어 문장에서 과제 기울기의 충돌. 위: 과제 쌍의 평균 코사인, 아래: 코사인이 음수인 쌍의 비율. 학습 중 기록한 단계들의 평균이며 점은 시드이다.", "name": "fig-korean-sentences-conflict"}, "image": {"alt": "하드 공유의 균등 가중과 내쉬 가중에서 과제 기울기의 평균 코사인과 음의 코사인 비율을 나타낸 점 그림"}}
study.figures.conflict(runs)

# %% [markdown]
# ## 검정과 결과
#
# Δm은 단일 과제에 대한 상대 개선율(%)의 과제 평균이며 **양수가 더 좋다**. 상대값이므로 기준값이 작은 과제에 크게 좌우된다. p는 Holm 방식으로 보정하였다.
# 이어지는 문장은 모두 위의 수치에서 계산된 것이다.

# %%
tests = ms.show(study.tests(results), "한국어 문장: 미리 정한 비교의 짝지은 검정", "tab-korean-sentences-tests")
display(tests, ms.tables.bullets(values["findings"]), ms.stamp(profile))
