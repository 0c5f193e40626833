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
# # 장난감 문제
#
# **물음.** Nash-MTL 논문의 2차원 문제에서 내쉬 협상은 어떤 출발점에서 시작하더라도 파레토 전선에 이르며, 서로 다른 절충점을 찾는다고
# 보고되었다. 협상 방정식을 정확히 풀어도 이 성질이 재현되는가? 재현된다면 그것은 협상에서 오는가?

# %% tags=["parameters"]
profile = "quick"

# %%
from mtlstudy.study import claims, results, tables, toy
from mtlstudy.study.figures import toy as figures

frames = results.computed("toy", profile)
ends, paths = frames["toy"], frames["toy_paths"]
tables.bullets(claims.sentences(toy.claims(ends)))

# %% mystnb={"figure": {"caption": "다섯 출발점에서 시작한 궤적. 바탕은 두 손실의 합이며 밝을수록 작다. 전선에 이르렀는지는 손실로 판정하므로, 별이 전선에서 떨어져 보이더라도 그 손실은 허용 오차 안에 있다.", "name": "fig-toy-contours"}, "image": {"alt": "여섯 방법의 궤적을 두 변수의 평면에서 손실의 등고선과 파레토 전선 위에 그린 그림"}}
figures.contours(ends, paths)

# %% [markdown]
# ## 주장과 문제
#
# **주장.** 정확한 해로도 보고된 성질은 재현된다. 그러나 과제가 둘이면 내쉬 협상의 가중치는 $a_t = 1/(\|g_t\|\sqrt{1+\cos})$ 이고, 여기서
# $\cos$ 은 두 기울기 사이의 코사인이다. 분모의 둘째 인수는 두 과제에 공통이므로 갱신의 방향은 각 기울기를 단위 길이로 맞추어 더한 동일 노름의
# 방향과 같으며, 두 방법은 갱신의 길이에서만 다르다. 따라서 이 문제는 두 방법을 가려낼 수 없다.
#
# **문제.** 두 손실은 CAGrad의 문제에서 가져왔으며, Nash-MTL 논문을 따라 첫째 손실의 척도를 줄인다. $x_2 > 0$ 인 위쪽에는 기울기가 크고 서로
# 어긋나는 좁은 골짜기가 둘 있고, 아래쪽에는 완만한 그릇 모양의 두 손실이 있다. 그릇의 두 바닥 사이에서 두 기울기가 서로 반대 방향인 점들이
# 파레토 전선이며, 이분법을 써서 수치로 구한다.

# %% [markdown]
# ## 어디에 이르는가
#
# 두 손실 모두에서 끝점보다 나은 점이 전선에 있으면 그 끝점은 전선에 이르지 못한 것이다. 얼마나 나은지를 전선의 너비에 대한 비율로 재고, 그
# 최댓값(가산 $\varepsilon$ 지표)이 허용 오차 안이면 이르렀다고 본다. 전선 부근은 평평하므로 판정은 위치가 아니라 손실로 한다. 표의 폭은 전선
# 위의 끝점들이 $x_1$ 방향으로 차지하는 너비를 전선 전체의 너비로 나눈 값이다. 폭이 0에 가까우면 출발점이 달라도 같은 절충점으로 무너진다는
# 뜻이다. 게임은 가중치를 새로 계산한 횟수이며, 해가 없으면 그 단계의 가중치를 0으로 둔다.

# %%
tables.prose("모든 방법은 같은 출발점 {starts}개에서 Adam(학습률 {lr})으로 {steps}단계를 나아간다. 첫째 손실의 척도: {scale}. 전선의 범위: "
         "$x_1$ 은 {x1_low}에서 {x1_high}까지, $x_2$ 는 평균 {x2}. 판정의 허용 오차: {tolerance} %. 가중치를 매 단계 계산하지 않고 "
         "유지한 방법: {held}.", **toy.cited(ends)["problem"])  # fmt: skip

# %%
tables.Tables(
    [
        tables.show(toy.methods(ends), "방법별로 전선에 이른 출발점", "tab-toy-methods"),
        tables.show(
            toy.points(ends), "출발점별 끝점의 두 손실(* 표시는 전선 밖)", "tab-toy-points"
        ),
    ]
)

# %% mystnb={"figure": {"caption": "손실 공간에서 본 같은 궤적. 굵은 선은 파레토 전선이며 왼쪽 아래로 갈수록 좋다.", "name": "fig-toy-losses"}, "image": {"alt": "여섯 방법의 궤적을 두 손실의 평면에 파레토 전선과 함께 그린 그림"}}
figures.loss_space(ends, paths)

# %%
tables.stamp(results.origin("toy", profile))
