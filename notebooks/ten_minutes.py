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
# # 10분 만에 보는 MTL
#
# 한 환자의 검사 결과에서 두 가지를 알아내려 한다고 하자. 하나는 성별이고 하나는 나이이다. 앞의 것은 분류(classification)이고 뒤의 것은
# 회귀(regression)여서, 손실도 지표도 출력의 꼴도 다르다. 이렇게 입력에서 알아내야 하는 것 하나하나를 **과제**(task)라 하고, 여러 과제를 한
# 모형에서 함께 배우는 일을 **다중 과제 학습**(multi-task learning, MTL)이라 한다.
#
# 이 장에서는 가장 작은 다중 과제 모형, 곧 층 하나를 공유하고 출력층을 둘 둔 모형을 실제 자료로 학습하고, 과제마다 모형을 따로 둔 경우와
# 견주어 본다. 여기의 비교는 패키지를 쓰는 법을 보이는 **예시**이며 이 연구의 근거가 아니다. 자료가 작고, 학습률을 조정하지 않았으며, 자료도
# 하나뿐이다. 근거로 삼는 비교는 {doc}`weightings`와 {doc}`sharings`에 있다.

# %% tags=["parameters"]
profile = "quick"
seeds = 8
steps = 150

# %% [markdown]
# ## 자료와 과제
#
# 자료는 scikit-learn에 들어 있는 당뇨병 환자의 기록이다 {cite:p}`efron2004`. 입력은 체질량 지수, 혈압, 혈청 검사 여섯 가지, 한 해 뒤의 병의
# 진행이고, 성별과 나이는 입력에서 뺐다. 같은 입력이 두 과제의 레이블을 모두 갖는다. 설정 한 줄이 자료, 공유 구조, 가중, 크기를 모두 정한다.

# %%
import mtlstudy as ms
from mtlstudy.study import claims, lesson, results, tables

config = ms.RunConfig(
    data="diabetes", sharing="hard", weighting="equal", depth=1, width=128, lr=0.01, steps=steps
)
tables.show(lesson.about(config), "두 과제와 환자의 수", "tab-ten-tasks")

# %% [markdown]
# ## 층 하나를 공유하는 모형
#
# 두 과제가 완전 연결층(dense layer) 하나를 공유하고, 그 위에 과제마다 출력층을 하나씩 둔다. 이것이 하드 공유(hard parameter sharing)이다
# {cite:p}`caruana1997`. 그림은 만들어진 모형에서 그린 것으로, 두 색이 칠해진 상자가 두 과제의 손실이 함께 닿는 매개변수이다.
#
# ```{figure} /book/_generated/ten_minutes.svg
# :name: fig-ten-model
# :alt: 입력 위에 두 과제가 함께 쓰는 층이 하나 있고 그 위에 과제마다 출력층이 하나씩 있는 그림
#
# 층 하나를 공유하고 출력층을 둘 둔 모형. 상자의 색은 그 매개변수가 쓰이는 과제이다.
# ```

# %% [markdown]
# ## 학습
#
# `fit`은 두 손실의 평균을 줄이며 학습하고, 검증 자료에서 가장 좋았던 시점을 골라 시험 자료에서 한 번 잰다. 한 번 끝난 학습은 다시 하지 않고 읽어
# 온다. 같은 설정과 같은 시드는 같은 결과를 낸다. 표의 AUC는 클수록, MAE(평균 절대 오차)는 작을수록 좋다. 나이는 표준화한 값이다.

# %%
run = ms.fit(config, progress=False)
tables.show(
    lesson.table(lesson.compared(config, "hard+equal", 1)), "한 시드의 시험 성능", "tab-ten-one"
)

# %% [markdown]
# ## 과제마다 따로 배우는 것보다 나은가
#
# 한 시드의 수로는 답할 수 없다. 초깃값과 표본의 나눔이 바뀌면 결과도 바뀌기 때문이다. 같은 시드끼리 짝지어 차이를 내고, 그 평균의 구간을 함께
# 본다. 구간은 시드, 곧 초깃값과 학습·검증 자료의 나눔에 따른 흔들림만 담는다. 시험 환자는 언제나 같으므로 다른 환자들에게서도 그럴지는 말해 주지
# 않으며, 여러 번 비교한 데 대한 보정도 하지 않았다. `sharing` 한 단어를 `single_task`로 바꾸면 과제마다 같은 크기의 모형을 따로 둔다.

# %%
pair = lesson.compared(config, "single_task+equal,hard+equal", seeds)
tables.show(lesson.table(pair), "단일 과제와 하드 공유: 시드 평균 ± 표준편차", "tab-ten-pair")

# %% [markdown]
# ## 한 단어 바꾸기
#
# 무엇을 공유할지는 `sharing`이, 공유한 부분을 어떻게 갱신할지는 `weighting`이 정한다. 한 번에 한 단어씩 바꾸어 본다. `cross_stitch`는 과제마다
# 사본을 두고 그 출력을 섞는 비율을 배운다({doc}`교차 연결 <../sharing/cross_stitch>`). `nash`는 두 과제의 기울기를 내쉬 협상으로 결합한다({doc}`../method`).

# %%
more = lesson.compared(config, "single_task+equal,hard+equal,cross_stitch+equal,hard+nash", seeds)
tables.show(lesson.table(more), "한 단어씩 바꾼 네 방법: 시드 평균 ± 표준편차", "tab-ten-more")

# %% mystnb={"figure": {"caption": "네 방법의 시험 지표. 점은 시드, 세로 막대는 평균, 가로 선은 구간이다.", "name": "fig-ten-more"}, "image": {"alt": "네 방법의 시드별 AUC와 MAE를 과제마다 한 칸에 나타낸 점 그림"}}
lesson.figure(more)

# %%
tables.bullets(claims.sentences(lesson.claims(more)))

# %% [markdown]
# 방법 사이의 차이는 시드에 따른 흔들림과 함께 읽어야 한다. 이런 크기의 실험에서 시드 하나를 골라 보이면 어떤 주장이든 할 수 있다. 그래서 이 책의
# 비교에서는 모든 방법이 같은 조정 예산을 쓰고, 시드를 짝짓고, 구간과 보정한 검정을 함께 적는다. 다음 장들이 그 물음과 방법을 설명한다.

# %%
tables.stamp(results.provenance(more.runs, profile))
