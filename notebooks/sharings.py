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
# # 공유 구조 비교
#
# **물음.** 과제들이 매개변수를 어떻게 나누어 써야 하는가? 하드 공유(hard parameter sharing)보다 적게, 또는 다르게 공유하는 구조는 정확도에서
# 무엇을 얻고 매개변수와 계산에서 무엇을 치르는가?

# %% tags=["parameters"]
profile = "quick"
data = ""
methods = ""
seeds = ""

# %%
from mtlstudy.study import claims, comparison, results, tables
from mtlstudy.study.figures import comparison as figures
from mtlstudy.study.figures import learned

found = results.load("sharings", profile, data, methods, seeds)
tables.bullets(claims.sentences(comparison.headline(found)))

# %% mystnb={"figure": {"caption": "단일 과제 학습에 대한 공유 구조별 Δm. 점은 시드, 세로 막대는 평균, 가로 선은 구간이며 점선의 오른쪽이 단일 과제보다 좋은 쪽이다. 발산한 시드가 있으면 그 개수를 붉은 글씨로 적고, 어느 자료에서도 정의되지 않은 구조는 그리지 않는다.", "name": "fig-sharing-delta-m"}, "image": {"alt": "자료별로 공유 구조들이 보인 시드별 Δm과 평균, 구간을 나타낸 점 그림"}}
figures.delta_m(found)

# %% [markdown]
# ## 어떻게 쟀는가
#
# **비교 대상.** 모든 구조는 같은 단계(stage)로 이루어진 같은 줄기 위에 놓인다. 과제마다 모형을 따로 두는 단일 과제 학습이 기준이고, 하드 공유는 모든
# 단계를, 부분 공유(partial sharing)는 앞 단계만 나누어 쓴다. 소프트 공유(soft sharing)와 자취 노름(trace norm)은 과제별 사본을 벌점으로 묶고, 텐서
# 분해(tensor factorisation)는 사본의 가중치를 공통 인자로 만든다. 교차 연결(cross-stitch)과 수문망(sluice network)은 사본의 표현을 학습된 계수로
# 섞으며, 희소 공유(sparse sharing)는 한 줄기에서 과제마다 쓸 가중치를 고른다. MMoE와 PLE는 전문가(expert)들을 과제별 관문(gate)으로 섞고, Recon은
# 기울기 충돌이 잦은 단계를 과제별로 나눈다. 계층 공유(hierarchical sharing)는 과제를 서로 다른 깊이에서 읽으므로 과제 사이에 층위의 순서가 있어야 한다.
#
# **규약.** 가중 방식은 균등 가중 하나로 고정하여 구조만 다르게 한다. 모든 구조는 같은 조율 예산을 쓰고, 학습률과 구조 고유의 값은 보고하지 않는
# 시드에서 검증 자료만으로 고른다. 구조를 먼저 탐색하는 희소 공유와 Recon은 그 비용을 함께 적는다. 하드 공유 대 단일 과제, 검증 자료로 고른 구조 대
# 단일 과제, 검증 자료로 고른 구조 대 하드 공유의 세 비교는 결과를 보기 전에 정하였다. 자료는 패키지에 딸린 것들이며, 파일이 있는 기계에서는 한국어 태깅을
# 더한다.

# %% [markdown]
# ## 성능과 비용
#
# Δm은 단일 과제 학습에 대한 상대 개선율(%)이며 **양수가 더 좋다**. 시험 지표는 과제와 시드에 대한 평균이고, MAE만은 작을수록 좋다. 부정 전이(negative
# transfer)는 단일 과제보다 2 % 넘게 나빠진 (과제, 시드) 쌍의 비율이고, 일반화 간격은 학습 자료와 검증 자료의 지표 차이이다. 감소율은 단일 과제 모형
# 전부의 매개변수에 대한 것이며 음수이면 더 많이 쓴다는 뜻이다. FLOPs는 표본 하나를 한 번 앞으로 계산하는 데 드는 연산이다. 탐색 단계는 구조를 먼저
# 찾는 데 쓴 단계의 수로, 학습 단계의 수에 대한 비율이다.

# %%
undefined = tables.bullets(claims.sentences(comparison.undefined(found)))
display(comparison.tables(found), undefined)

# %% mystnb={"figure": {"caption": "Δm과 비용. 왼쪽: 매개변수의 수, 오른쪽: 표본 하나의 FLOPs. 둘 다 단일 과제 학습을 1로 둔 로그 눈금이며, 비용이 같은 구조는 옆으로 조금 벌려 그린다.", "name": "fig-sharing-cost"}, "image": {"alt": "공유 구조별 Δm을 매개변수 비율과 FLOPs 비율에 대해 그린 산점도"}}
figures.cost(found)

# %% [markdown]
# ## 학습된 공유
#
# 몇몇 구조는 무엇을 얼마나 나눌지를 스스로 정한다. 아래 그림은 그렇게 정해진 값을 그대로 보인다. 합성 자료에서는 과제들이 어느 은닉 집단에 드는지
# 알려져 있으므로(과제 번호의 홀짝), 학습된 값이 그 집단을 따르는지 확인할 수 있다. 그 결과는 마지막 절의 문장에 있다.

# %% mystnb={"figure": {"caption": "교차 연결의 혼합 계수 α(시드 평균). 행은 받는 과제, 열은 주는 과제이다. 대각 성분은 회색으로 두고 그 평균을 제목에 적었다. 색 눈금은 자료마다 다르다.", "name": "fig-learned-cross-stitch"}, "image": {"alt": "자료와 단계별로 교차 연결이 학습한 과제 사이의 혼합 계수를 나타낸 열지도"}}
learned.mixing(found.learned)

# %% mystnb={"figure": {"caption": "수문망의 혼합 계수 α와 단계의 혼합 β(시드 평균). α의 행과 열은 과제마다 나눈 부분 공간이며 대각 성분은 회색이다. 색 눈금은 자료마다 다르다.", "name": "fig-learned-sluice"}, "image": {"alt": "자료와 단계별로 수문망이 학습한 부분 공간의 혼합 계수와 과제별 단계 혼합을 나타낸 열지도"}}
learned.mixing(found.learned, "sluice")

# %% mystnb={"figure": {"caption": "과제별 관문의 평균. 왼쪽: MMoE의 전문가(번호가 시드마다 다른 전문가를 가리키므로 시드 하나만 보인다), 오른쪽: PLE 첫 단계의 자기 전문가와 공유 전문가(시드 평균).", "name": "fig-sharing-gates"}, "image": {"alt": "MMoE와 PLE의 관문이 과제마다 전문가에게 준 평균 가중치를 나타낸 열지도"}}
learned.gates(found.learned)

# %% mystnb={"figure": {"caption": "과제 사이의 관계(시드 평균). 왼쪽: 희소 공유에서 두 과제의 마스크가 겹치는 정도(교집합/합집합), 오른쪽: 소프트 공유에서 두 사본의 거리(사본의 평균 길이에 대한 비). 색 눈금은 그림마다 다르며 대각 성분은 회색이다.", "name": "fig-sharing-relations"}, "image": {"alt": "희소 공유의 마스크 겹침과 소프트 공유의 사본 사이 거리를 과제 쌍마다 나타낸 열지도"}}
learned.relations(found.learned)

# %% mystnb={"figure": {"caption": "왼쪽과 가운데: 모든 과제의 가중치를 쌓은 행렬의 특이값(가장 큰 값 = 1). 선은 시드 평균, 띠는 범위이다. 과제들의 가중치가 서로 무관하면 평평하고, 나누어 쓰는 것이 많을수록 빨리 줄어든다. 텐서 분해에서는 정해 둔 계수 뒤의 값이 0이다. 오른쪽: Recon의 단계별 충돌 점수. 막대는 평균, 점은 시드, 위의 분수는 그 단계가 과제별로 나뉜 시드의 비이다.", "name": "fig-sharing-spectra"}, "image": {"alt": "자취 노름과 텐서 분해의 특이값 곡선과 Recon의 단계별 충돌 점수 막대"}}
learned.spectra(found.learned)

# %% [markdown]
# ## 검정과 결과
#
# 아래 표는 미리 정한 세 비교이다. 모든 자료를 합한 비교에서는 (자료, 시드) 쌍이, 자료별 비교에서는 시드가 짝이 된다. p는 비교 묶음마다 Holm 방식으로
# 보정하고, 80 %의 검정력으로 찾을 수 있던 차이를 함께 적는다. 검증 자료로 고른 구조가 하드 공유이면 첫째 비교만 남는다. 나머지 구조들의 차이는 검정하지
# 않았으므로 관측으로만 읽어야 한다. 이어지는 문장은 모두 위의 수치에서 계산된 것이다.

# %%
tests = tables.show(
    comparison.differences(found),
    "공유 구조의 미리 정한 비교: Δm 차이의 짝지은 검정",
    "tab-sharing-tests",
)
said = tables.bullets(claims.sentences(comparison.claims(found)))
display(tests, said, tables.stamp(results.provenance(found.runs, profile)))
