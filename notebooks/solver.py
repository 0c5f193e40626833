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
# # 내쉬 협상의 정확한 해
#
# **물음.** 협상 방정식 $M\,a = 1/a$ 를 모든 경우에 반올림 오차의 수준까지 정직하게 풀 수 있는가? 관행의 풀이는 어떤 행렬에서 어긋나며,
# 실제 학습의 궤적에서는 얼마나 자주 어긋나는가? 그때 학습된 모형도 달라지는가?

# %% tags=["parameters"]
profile = "quick"

# %%
from mtlstudy.study import claims, results, solver, tables
from mtlstudy.study.figures import solver as figures

cases = results.computed("solver", profile)["solver"]
models = results.load("solver", profile)
cited = solver.cited(cases, models)
tables.bullets(claims.sentences(solver.claims(cases, models)))

# %% mystnb={"figure": {"caption": "합성 행렬에서 조건수에 따른 잔차. 점은 (사례, 풀이)이고 점선은 실패의 기준이다. 축의 범위를 벗어난 값은 가장자리에 그렸다.", "name": "fig-solver-residuals"}, "image": {"alt": "네 풀이의 잔차를 그램 행렬의 조건수에 대해 양쪽 로그 축에 그린 산점도"}}
figures.residuals(cases)

# %% [markdown]
# ## 어떻게 쟀는가
#
# **주장.** 협상 방정식은 자기 일치(self-concordant) 볼록 함수의 정상점 조건이므로 감쇠 뉴턴법 하나로 충분하다. 이 풀이는 과제의 척도에
# 영향을 받지 않으며, 해가 없는 경우에는 그 사실을 이름 있는 상태로 알린다.
#
# **비교 대상.** 뉴턴 풀이(`mtlstudy.nash_weights`)를 세 가지 기준과 비교한다. 첫째는 같은 볼록 함수를 지수 원뿔 계획으로 적어 Clarabel로
# 푼 것이다. 둘째는 Nash-MTL 논문의 볼록-오목 절차(CCP)를 논문에 적힌 대로, 행렬의 척도를 바르게 맞추어 구현한 것이다. 셋째는 같은 절차에
# 공개 코드의 시작점과 정지 기준을 적용한 것이다. 셋째의 정지 기준은 정규화한 행렬과 정규화하지 않은 가중치를 섞는다.
#
# **실패의 뜻.** 잔차 $\max_t |a_t (M a)_t - 1|$ 가 $10^{-3}$ 을 넘거나 가중치가 나오지 않으면 실패로 센다. 그런데도 풀이기 스스로는 풀렸다고
# 보고하면 조용한 실패이다. 공개 코드는 풀이기의 상태를 읽지 않고 직전의 가중치로 학습을 이어 가므로, 그 코드의 사용자에게는 모든 실패가 조용하다.

# %% [markdown]
# ## 합성 행렬
#
# 행렬을 한 번에 한 가지 방식으로 어렵게 만든다. 조건수를 크게 하거나, 과제 기울기의 크기를 서로 다르게 하거나, 기울기를 거의 반대 방향으로 두거나,
# 모든 기울기를 아주 작게 하고, 끝으로 이 성질들을 섞는다. 모든 사례에 해가 있다. 시간은 같은 사례에서 뉴턴 풀이에 든 시간에 대한
# 비이며, 볼록 계획을 짜는 비용은 들어 있지 않다.
#
# 정확한 해는 풀이에 쓰지 않은 세 법칙도 지켜야 한다. 갱신 방향의 길이는 과제의 수만으로 정해지고($\|J^\top a\|^2 = K$), 각 과제가 얻는
# 이득은 가중치의 역수이며($\langle g_t, d\rangle = 1/a_t$), 손실의 척도를 바꾸면 가중치만 그만큼 바뀐다($J \to SJ$ 이면 $a \to S^{-1}a$).
# 마지막 표의 오차는 그램 행렬이 아니라 기울기에서 직접 잰 것이다.

# %%
tables.prose("과제의 수 K: {K_min} ~ {K_max}, 조건수: {condition_min} ~ {condition_max}, 기울기 크기의 비: 최대 {scale_max}. "
         "네 풀이를 모두 적용한 사례: {newton[cases]}개, 뉴턴 풀이만 더 적용한 것까지 합한 사례: {newton_all[cases]}개.", **cited["stress"])  # fmt: skip

# %%
tables.Tables(
    [
        tables.show(
            solver.solvers(cases), "합성 행렬: 풀이별 실패, 잔차, 시간", "tab-solver-stress"
        ),
        tables.show(
            solver.families(cases), "합성 행렬: 종류별 실패한 사례/전체 사례", "tab-solver-families"
        ),
        tables.show(
            solver.statuses(cases), "실패한 사례에서 풀이기가 보고한 상태", "tab-solver-statuses"
        ),
        tables.show(solver.law_errors(cases), "뉴턴 풀이가 지키는 법칙", "tab-solver-laws"),
    ]
)

# %% mystnb={"figure": {"caption": "과제의 수에 따른 풀이 시간. 뉴턴의 시간을 1로 둔 같은 사례의 비이며, 점은 중앙값, 막대는 사분위 범위이다.", "name": "fig-solver-times"}, "image": {"alt": "뉴턴에 대한 네 풀이의 시간 비를 과제의 수에 대해 양쪽 로그 축에 그린 꺾은선 그림"}}
figures.times(cases)

# %% [markdown]
# ## 실제 학습의 행렬
#
# 내쉬 가중으로 학습한 모형에서 기록한 그램 행렬을 다시 푼다. CCP는 논문처럼 직전 기록의 해에서 시작하며, 뉴턴 풀이는 한 실행의 행렬 전부를 한
# 묶음으로 푼다. 끝으로 CCP의 가중치로 실제로 학습하여, 같은 시드와 같은 학습률로 정확한 해를 쓴 모형과 시험 성능을 비교한다. 가중치의 아주 작은
# 차이도 학습을 거치며 커지므로, 시드별 차이는 시드에 따른 표준편차와 함께 읽어야 한다.

# %% mystnb={"figure": {"caption": "학습 중 기록한 그램 행렬에서의 잔차(모든 시드). 점선은 실패의 기준이다. 축의 범위를 벗어난 값은 가장자리에 그렸다.", "name": "fig-solver-along"}, "image": {"alt": "자료별로 학습 중 기록한 순서에 따라 네 풀이의 잔차를 그린 산점도"}}
figures.along(cases)

# %%
tables.Tables(
    [
        tables.show(
            solver.solvers(cases, "recorded", "multi_mnist"),
            "MultiMNIST의 학습 기록",
            "tab-solver-multi-mnist",
        ),
        tables.show(
            solver.solvers(cases, "recorded", "yeast"), "Yeast의 학습 기록", "tab-solver-yeast"
        ),
        tables.show(
            solver.trained(models),
            "정확한 해와 CCP로 학습한 모형의 시험 성능",
            "tab-solver-trained",
        ),
    ]
)

# %%
tables.stamp(results.provenance(models.runs, profile))
