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
# # 내 모형에 쓰기
#
# 이 책의 실험은 모두 설정(`RunConfig`) 하나로 돌지만, 가중 방식과 공유 구조는 어느 `nn.Module`에나, 어느 학습 루프에나 쓸 수 있다. 이 장의 예는 책을
# 만들 때 실행되며, 보이는 값은 그때 나온 것이다. 자료는 패키지에 들어 있거나 그 자리에서 만든 것이고, 한 예는 몇 초면 끝난다. 쓰는 법을 보이는
# **예시**이므로 방법을 견주는 근거로 삼지 않는다.

# %% tags=["parameters"]
profile = "quick"

# %% [markdown]
# ## 머리가 둘인 CNN
#
# `loss_a + loss_b`의 `backward()` 자리에 `ms.backward`를 놓는다. 어느 매개변수에 어느 손실이 닿는지는 계산 그래프에서 읽으므로 따로 알려 줄 것이 없다.
# 둘 이상의 손실이 닿는 매개변수에는 협상의 방향이, 하나만 닿는 매개변수(과제의 머리)에는 그 손실의 기울기가 `.grad`에 더해진다. 아래의 모형은 손으로
# 쓴 숫자의 그림에서 숫자와 그 홀짝을 함께 알아낸다.

# %%
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import mtlstudy as ms
from mtlstudy.study.figures import own_model as figures

images, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
x, y = images.float().view(-1, 1, 8, 8) / 16, labels.long()
torch.manual_seed(0)
trunk = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
digit, parity = nn.Linear(144, 10), nn.Linear(144, 2)
optimiser = torch.optim.Adam([*trunk.parameters(), *digit.parameters(), *parity.parameters()])
cnn = []  # 단계마다의 손실
for batch in torch.randint(len(x), (300, 64)):
    optimiser.zero_grad()
    z = trunk(x[batch])
    losses = {
        "digit": F.cross_entropy(digit(z), y[batch]),
        "parity": F.cross_entropy(parity(z), y[batch] % 2),
    }
    done = ms.backward(losses, weighting="nash")
    optimiser.step()
    cnn.append({name: loss.item() for name, loss in losses.items()})
done

# %% [markdown]
# `ms.backward`가 돌려준 것은 마지막 단계에서 누가 어디서 만났는가(`games`), 가중치(`weights`, 게임마다 한 행), 풀이의 상태(`status`, 0이면 풀림), 빠진 손실과
# 그 까닭(`absent`)이다. 손실들이 서로 다른 매개변수에서 만나면 만나는 손실의 모임마다 게임이 하나씩 생긴다. 협상할 매개변수를 스스로 정하려면
# `shared=`에 준다. 블록마다 협상하는 `block_nash`에는 `shared={"conv": ..., "dense": ...}`처럼 블록의 이름이 있어야 한다. `torch.compile`로 묶은
# 모형은 어느 손실이 어디에 닿는지를 숨기므로 `shared=`를 주어야 하며, 주지 않으면 그렇다고 말하고 멈춘다.

# %% [markdown]
# ## 레이블이 빠진 글, 상태가 있는 가중 방식
#
# 배우는 값이 있거나 지난 단계를 기억하는 가중 방식은 `Balancer`로 만든다. 그 상태는 `state_dict`에 있고, 배우는 값은 최적화기에 함께 준다. 한 묶음에
# 레이블이 없는 과제의 손실은 `None`이나 NaN으로 준다. 그 과제는 그 단계의 게임에 없고, 없었다는 사실이 `absent`에 적힌다. 아래의 글은 낱말 번호의 열로
# 만든 것이다. 감성은 모든 글에, 점수는 두 묶음에 한 번만 레이블이 있다. 출력은 마지막 단계에서 돌려받은 것, 점수가 없던 단계의 수, 배운 로그 분산이다.

# %%
torch.manual_seed(0)
texts, tone = torch.randint(1, 200, (1024, 12)), torch.randn(200)
score = tone[texts].mean(1)
embed = nn.EmbeddingBag(200, 16)
heads = nn.ModuleDict({"sentiment": nn.Linear(16, 2), "score": nn.Linear(16, 1)})
balancer = ms.Balancer("uncertainty", ["sentiment", "score"])
parameters = [*embed.parameters(), *heads.parameters(), *balancer.parameters()]
optimiser = torch.optim.Adam(parameters, 0.01)
text, missing = [], 0
for step, batch in enumerate(torch.randint(len(texts), (300, 64))):
    optimiser.zero_grad()
    z = embed(texts[batch])
    losses = {"sentiment": F.cross_entropy(heads["sentiment"](z), (score[batch] > 0).long())}
    losses["score"] = None
    if step % 2 == 0:  # 이 묶음에는 점수의 레이블이 있다
        losses["score"] = F.mse_loss(heads["score"](z)[:, 0], score[batch])
    done = balancer.backward(losses)
    optimiser.step()
    text.append({name: loss.item() for name, loss in losses.items() if loss is not None})
    missing += "score" in done.absent
done, missing, list(balancer.parameters())

# %% [markdown]
# ## PyTorch Lightning의 모듈
#
# Lightning에서는 수동 최적화(manual optimisation)로 부른다. `training_step`의 몸통은 손으로 쓴 루프와 같다. 다음 모듈은 시험에서 그대로
# 옮긴 것이며, Lightning이 설치된 곳에서는 그 시험이 이 모듈을 `Trainer`로 학습하여 손으로 쓴 루프와 같은 매개변수에 이르는지 확인한다. Hugging Face의
# `Trainer`에서는 `compute_loss` 안에서 부르며, 같은 파일의 시험이 그 예이다.
#
# ```{literalinclude} ../../tests/test_trainers.py
# :pyobject: lightning_module
# :caption: Lightning의 모듈. `network`와 `losses_of`는 아래 루프의 모형과 손실이다 (`tests/test_trainers.py`)
# :name: code-own-lightning
# ```
#
# Lightning은 이 책의 환경에 없어도 되므로, 여기서는 같은 몸통을 손으로 쓴 루프로 실행한다. 두 손실의 척도가 크게 다르지만 협상의 방향은 척도에 흔들리지
# 않는다.

# %%
torch.manual_seed(0)
x = torch.randn(64, 5)
y = {"a": x[:, 0], "b": 10 * x[:, 1]}
net = nn.ModuleDict({"trunk": nn.Linear(5, 8), "a": nn.Linear(8, 1), "b": nn.Linear(8, 1)})
balancer, optimiser = ms.Balancer("nash", ["a", "b"]), torch.optim.SGD(net.parameters(), 0.02)
lightning = []
for _ in range(300):
    optimiser.zero_grad()
    z = net["trunk"](x).relu()
    losses = {name: F.mse_loss(net[name](z)[:, 0], y[name]) for name in y}
    done = balancer.backward(losses)
    optimiser.step()
    lightning.append({name: loss.item() for name, loss in losses.items()})
done

# %% [markdown]
# 세 예에서 모든 과제의 손실이 내려간다. 둘째 예에서 점수의 손실은 레이블이 있는 단계에만 있다.

# %% mystnb={"figure": {"caption": "세 예의 손실. 칸은 모형, 선은 과제이고, 세로축은 로그 눈금이다.", "name": "fig-own-losses"}, "image": {"alt": "머리가 둘인 CNN, 레이블이 빠진 글의 모형, Lightning의 몸통을 손으로 쓴 루프에서 과제별 손실이 단계에 따라 내려가는 꺾은선 그림 세 칸"}}
figures.losses({"CNN": cnn, "글": text, "Lightning의 몸통": lightning})

# %% [markdown]
# ## 그 밖의 학습 방식
#
# 16비트 학습(torch.amp)에서는 `scaler=`에 `GradScaler`를 준다. 게임은 배율을 뺀 기울기로 한다. 여러 프로세스(torch.distributed)에서는 기울기를 평균한 뒤에
# 게임을 하므로, DDP 자신의 평균은 `no_sync()`로 끈다. 여러 묶음의 기울기를 쌓는 방식(accumulation)에서는 `.backward()`와 같이 `.grad`에 더해진다. 시간과
# 메모리가 얼마나 드는지는 {doc}`performance`에서 잰다.
#
# ## 내 단계들 위의 공유 구조
#
# `ms.share`는 모듈의 목록을 단계로 삼아 이 책의 구조를 세운다. 예를 하나 주면 모양을 미리 확인하여, 맞지 않는 단계와 그때의 모양을 한 줄로 알린다.
# 아래의 `nash_share`는 학습하는 동안 구조를 바꾼다. 출력은 그렇게 정해진, 단계마다 무엇과 무엇이 공유하는가이다.

# %%
torch.manual_seed(0)
stages = [nn.Sequential(nn.Linear(5, 16), nn.ReLU()), nn.Sequential(nn.Linear(16, 16), nn.ReLU())]
heads = {name: nn.Linear(16, 1) for name in ("a", "b", "c")}
x = torch.randn(256, 5)
truth = {"a": x[:, 0], "b": x[:, 0] + 0.1 * x[:, 1], "c": x[:, 2] * x[:, 3]}
model = ms.share(stages, heads, "nash_share", x, start=0.3, length=0.2)
optimiser = torch.optim.Adam(model.parameters(), 0.01)
for step in range(1, 101):
    optimiser.zero_grad()
    losses = {name: F.mse_loss(out[:, 0], truth[name]) for name, out in model(x).items()}
    ms.backward(losses, weighting="equal")
    optimiser.step()
    ms.restructure(model, optimiser, step, 100)  # 분기하고 병합하는 구조만 여기서 바뀐다
model.learned(x)["coalitions"]

# %% [markdown]
# ## 무엇으로 가중할지 모를 때
#
# `ms.doctor`는 지금의 모형에서 과제의 기울기를 블록별로 재고, 늘 어긋나는 쌍과 잡음으로만 어긋나는 쌍을 가르며, 협상의 풀이가 있는지와 관행의 풀이가 어디서
# 실패할지를 세고, 짧은 경주로 가중 방식과 단일 과제를 견준 뒤, 까닭과 불확실성을 붙여 권한다. 모형은 그대로 남는다. 모형과 묶음에서 손실을 내는 함수와
# 묶음들을 준다. 경주의 표에는 걸린 시간이 있어 만들 때마다 다르므로 여기에는 싣지 않았다.


# %%
def losses_of(model, batch):
    outputs = model(x[batch])
    return {name: F.mse_loss(out[:, 0], truth[name][batch]) for name, out in outputs.items()}


report = ms.doctor(model, losses_of, list(torch.arange(256).split(32)), steps=20, progress=False)
print(report._replace(sections=report.sections[:3]))

# %% [markdown]
# 명령줄에서는 `mtlstudy doctor mine.py:build --page report.html`이다. `build()`는 위의 인자들을 사전으로 돌려준다.
#
# ## 무엇을 주고 무엇을 받는가
#
# ```{table} 부르는 것마다 주고 받는 것
# :name: tab-own-model-calls
#
# | 부르는 것 | 주는 것 | 받는 것 |
# | --- | --- | --- |
# | `ms.backward(losses, shared, weighting, …)` | 과제마다 스칼라 손실 하나: 이름의 사전, 또는 차례대로 | 모든 매개변수의 `.grad`, 그리고 `games`, `weights`, `status`, `absent` |
# | `ms.Balancer(weighting, tasks, …)` | 가중 방식의 이름과 선택지, 과제의 이름 | 상태를 지닌 모듈. `backward`와 `after_step`을 부른다 |
# | `ms.share(stages, heads, family, example, …)` | 단계의 목록, 과제마다 머리 하나, 구조의 이름과 선택지 | 입력을 받아 과제마다 출력을 내는 모듈 |
# | `ms.restructure(model, optimiser, step, steps)` | `share`의 모형과 그 최적화기, 몇 번째 단계인가 | 구조가 바뀌었는가 |
# | `ms.doctor(model, losses_of, batches, …)` | 모형, 손실을 내는 함수, 묶음 다섯 이상 | 표와 권고. `str`이나 `html()`로 본다 |
# | `ms.nash_weights(M)` | 그램 행렬 $M$, 여럿이면 묶음으로 | $M a = 1/a$의 해와 상태, 잔차 |
# ```
#
# 어느 것이나 잘못 주면 무엇이 틀렸고 무엇이 되는지를 한 줄로 말하며, 그때 `.grad`는 부르기 전 그대로이다. 파라미터의 자세한 뜻은 각 함수의
# 설명(`help(ms.backward)`)에 있다.
#
# ## TorchJD와 함께
#
# 이 연구의 풀이를 TorchJD에서 쓰려면 `ms.torchjd_weighting("nash", 2)`를 그 자동 그램 엔진(autogram)에 그대로 주거나
# `GramianWeightedAggregator`로 감싸 자코비안 하강(autojac)에 준다. 거꾸로 TorchJD의 방법은 `weighting="pcgrad"`처럼 이름으로 쓴다.
