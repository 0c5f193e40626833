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
# # 동적 공유 구조
#
# **물음.** 어느 과제들이 무엇을 함께 쓸지를 사람이 미리 정하지 않고, 학습하는 동안 정할 수 있는가? 그렇게 얻은 것은 구조를 찾아서 얻은 것인가, 아니면
# 매개변수가 늘어서 얻은 것인가?

# %% tags=["parameters"]
profile = "full"

# %%
from mtlstudy.study import claims, comparison, results, structure, tables
from mtlstudy.study.figures import structure as figures

frames = results.computed("structure", profile)
found = frames["structure"]
tables.bullets(claims.sentences(structure.found(found)))

# %% mystnb={"figure": {"caption": "단일 과제 학습에 대한 구조별 Δm. 점은 시드, 세로 막대는 평균, 가로 선은 구간이다. 점선의 오른쪽이 단일 과제보다 좋은 쪽이다.", "name": "fig-structure-delta-m"}, "image": {"alt": "진실을 아는 자료마다 공유 구조들이 보인 시드별 Δm과 평균, 구간을 나타낸 점 그림"}}
figures.delta_m(found)

# %% [markdown]
# ## 어떻게 쟀는가
#
# **방법.** {doc}`내쉬 공유 <../sharing/nash_share>`는 모든 과제가 몸통을 함께 쓰다가(공유), 과제마다 사본을 잠시 따로 학습하고(분기), 그동안 움직인
# 변위가 서로 얼마나 같은 쪽을 향하는지를 보아 협상의 값이 가장 큰 분할을 고르고, 같은 연합의 사본을 평균으로 합친다(병합). 사본 하나에 매기는 값, 갈림길의
# 시험, 따로 하는 탐색이 없다. 분기와 병합의 시점은 어느 자료에서나 같다(전체 단계의 30 %에서 45 %까지).
#
# **진실을 아는 자료.** 과제의 참 집단을 아는 합성 자료에서만 구조를 옳게 찾았는지를 말할 수 있다. 나누는 것이 옳은 자료(두 집단)와 나누면 손해인 자료(교사
# 하나)를 함께 쓴다. 세 집단, 무관한 교사, 아래만 공유, 용량의 충돌과 같은 다른 진실도 마련되어 있으나 이 판에서는 계산하지 않았다. 먼저 볼 것은 이 자료들이
# 구조를 가려낼 수 있는지, 곧 진실의 집단으로 나눈 구조(상한)가 하드 공유보다 나은지이다. 그 차이 가운데 어떤 방법이 얻은 비율을 *좁힌 몫*이라 한다.
#
# **대조.** 이득이 구조에서 오는지는 대조로만 알 수 있다. *구성원을 섞은 대조*는 내쉬 공유가 찾은 연합의 수와 크기를 그대로 두고 구성원만 섞는다.
# *모두 갈라짐*은 같은 시점에서 과제마다 따로 간다. 진실의 집단(도중부터)은 진실을 아는 채로 같은 시점에 나눈 것이어서 가장 공정한 상한이다.
#
# *찾은 연합을 처음부터*는 내쉬 공유가 같은 시드에서 찾은 연합을 새 초깃값에서 끝까지 학습한 것이고, *같은 매개변수*와 *같은 비용*은 내쉬 공유와 매개변수의 수가
# 같도록 넓힌 하드 공유, 몸통을 지나는 횟수가 같도록 단계 수를 맞춘 하드 공유와 단일 과제이다.
#
# **기준선.** {doc}`Recon <../sharing/recon>`, {doc}`코사인 이분할 <../sharing/cosine_bipartition>`, {doc}`친화도 묶음 <../sharing/tag>`,
# {doc}`분기망 <../sharing/branched>`, {doc}`분기 학습 <../sharing/ltb>`, 그래프 채색 {cite:p}`patapati2025`을 같은 몸통 위에 지었으며, 이 판에서 계산한 것만 아래 표에 있다. 친화도 묶음의 묶음 수와
# 분기망의 예산은 사람이 주는 값이고, 내쉬 공유에는 그런 값이 없다. 짓지 않은 기준선도 있다. ForkMerge는 학습하는 도중에 검증 자료로 합칠 무게를 찾아야
# 하는데 여기서는 검증 자료를 모형의 선택에만 쓴다. FAFS는 분기망이, 선택적 과제군 갱신은 그래프 채색이 대신한다.
#
# **규약.** 모든 구조는 학습률과 드롭아웃을 같은 후보와 같은 조정용 시드에서 검증 자료로 고른다. 골라진 학습률이 후보의 끝이면 같은 규칙으로 한 칸씩 넓힌다.
# 다른 구조의 결과로 만드는 대조는 따로 조정하지 않고 그 구조(또는 하드 공유, 단일 과제)에서 골라진 값을 이어받는다. 시험 자료는 새 시드에서 한 번만 쓴다. Δm은 과제별 시험 손실의 단일 과제에 대한 상대 개선율(%)이며 양수가 더 좋다.

# %% [markdown]
# ## 구조가 시간에 따라 어떻게 변하는가
#
# 한 시드에서 내쉬 공유가 정한 것이다. 과제는 진실의 집단 차례로 늘어놓았으므로, 구조를 옳게 찾았다면 병합 뒤에 같은 덩이가 한 색이 된다.

# %% mystnb={"figure": {"caption": "어느 과제들이 사본을 함께 쓰는가. 회색은 모두가 함께 쓰는 동안이고, 그 밖의 색은 하나가 사본 하나이다. 틈은 진실의 집단을 가른다.", "name": "fig-structure-time"}, "image": {"alt": "단계에 따라 과제마다 어느 사본을 쓰는지를 색으로 나타낸 가로 막대 그림"}}
figures.over_time(frames["coalitions"], found)

# %% mystnb={"figure": {"caption": "분기한 동안 과제들이 움직인 변위의 코사인(잡음의 치우침을 뺀 값). 행과 열은 진실의 집단 차례이며 선이 집단을 가른다.", "name": "fig-structure-drifts"}, "image": {"alt": "진실을 아는 자료마다 과제 쌍의 변위가 이루는 코사인을 나타낸 열지도"}}
figures.drifts(frames["cosines"])

# %% [markdown]
# ## 정확도와 비용
#
# 비용은 몸통을 앞뒤로 지나는 횟수로 세며, 과제마다 기울기를 구하는 하드 공유를 1로 둔다. 분기하여 탐색하는 동안의 비용도 들어 있다. 과제마다 기울기를 구하는 방법(동일 노름, 내쉬)은 구조와 관계없이
# 과제의 수만큼 뒤로 지나며, 손실의 합만 쓰는 균등 가중은 사본의 수만큼 지난다.

# %% mystnb={"figure": {"caption": "Δm과 비용. 왼쪽: 매개변수, 오른쪽: 몸통 통과 횟수. 세로 선은 구간이다.", "name": "fig-structure-front"}, "image": {"alt": "구조별 Δm을 매개변수의 비와 몸통 통과 횟수의 비에 대해 그린 산점도"}}
figures.front(found)

# %%
structure.tables(found)

# %% [markdown]
# ## 실제 자료
#
# 참 집단을 모르는 자료에서는 구조를 옳게 찾았는지를 말할 수 없고, 하드 공유나 단일 과제보다 나빠지지 않는지만 볼 수 있다. 내쉬 공유의 값은 합성 자료에서와
# 같으며, 여기서는 Δm이 시험 *지표*의 상대 개선율이다. 다른 공유 구조와의 비교는 {doc}`sharings`에 있다.

# %%
real = results.load("structures", profile)
comparison.tables(real)

# %%
tests = "실제 자료에서 미리 정한 비교: Δm 차이의 짝지은 검정"
display(
    tables.show(comparison.differences(real), tests, "tab-structures-tests"),
    tables.bullets(claims.sentences(comparison.undefined(real))),
    tables.stamp(results.provenance(real.runs, profile)),
)

# %% [markdown]
# ## 검정과 읽는 법
#
# 미리 정한 비교의 판정은 다음과 같다. 구조를 찾았다고 말할 수 있는 것은 구성원을 섞은 대조를 이긴 자료에서만이다.
#
# 증명된 것은 연합의 값이 지니는 성질뿐이다({doc}`내쉬 공유 <../sharing/nash_share>`). 변위의 코사인이 진실의 집단을 드러낸다는 것과 분기의 시점이 알맞다는
# 것은 여기서 *잰* 것이며 증명된 것이 아니다. 매 단계의 가중 방식으로 내쉬 협상을 쓰는 것은 동일 노름과 견주어 따로 검정하였다.

# %%
said = tables.bullets(claims.sentences(structure.judged(found)))
origin = results.origin("structure", profile) | {"seeds": sorted(set(found["seed"]))}
display(said, tables.stamp(origin))
