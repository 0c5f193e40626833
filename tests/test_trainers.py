"""`ms.Balancer` inside PyTorch Lightning (manual optimisation) and the Hugging Face Trainer, where
the extra `trainers` is installed."""

import pytest
import torch
from torch import nn

import mtlstudy as ms

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
Y = {"a": X[:, 0], "b": 100 * X[:, 1]}


def network():
    torch.manual_seed(0)
    return nn.ModuleDict({"trunk": nn.Linear(5, 8), "a": nn.Linear(8, 1), "b": nn.Linear(8, 1)})


def losses_of(net, x, y):
    z = net["trunk"](x).relu()
    return {n: nn.functional.mse_loss(net[n](z)[:, 0], y[n]) for n in ("a", "b")}


def by_hand(steps):
    """The same steps in a plain loop."""
    net, balancer = network(), ms.Balancer("nash", ["a", "b"])
    optimiser = torch.optim.SGD(net.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        done = balancer.backward(losses_of(net, X, Y))
        optimiser.step()
        assert done.status.tolist() == [ms.Status.SOLVED]
    return net.state_dict()


def lightning_module(lightning):
    """`by_hand` as a module with manual optimisation; lightning: the package."""

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.net, self.balancer = network(), ms.Balancer("nash", ["a", "b"])

        def training_step(self, batch, _):
            self.optimizers().zero_grad()
            self.balancer.backward(losses_of(self.net, batch[0], Y))
            self.optimizers().step()

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), 0.01)

    return Module()


def test_lightning_with_manual_optimisation():
    lightning = pytest.importorskip("lightning", reason="pip install 'mtlstudy[trainers]'")
    module = lightning_module(lightning)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_epochs=5, accelerator="cpu", **quiet, enable_model_summary=False
    )
    trainer.fit(module, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X), 64))
    for key, value in by_hand(5).items():
        assert torch.allclose(module.net.state_dict()[key], value, atol=1e-6), key


def test_the_hugging_face_trainer(tmp_path):
    transformers = pytest.importorskip("transformers", reason="pip install 'mtlstudy[trainers]'")
    pytest.importorskip("accelerate", reason="pip install 'mtlstudy[trainers]'")

    class Trainer(transformers.Trainer):
        balancer = ms.Balancer("nash", ["a", "b"])

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            losses = losses_of(model, inputs["x"], {"a": inputs["a"], "b": inputs["b"]})
            if model.training:
                self.balancer.backward(losses)
            total = torch.stack(list(losses.values())).sum().detach().requires_grad_()
            return (total, losses) if return_outputs else total  # its backward pass adds nothing

    net = network()
    rows = [{"x": X[i], "a": Y["a"][i], "b": Y["b"][i]} for i in range(64)]
    arguments = transformers.TrainingArguments(
        tmp_path, max_steps=5, per_device_train_batch_size=64, report_to=[], use_cpu=True,
        remove_unused_columns=False, save_strategy="no", max_grad_norm=0.0, disable_tqdm=True,
    )  # fmt: skip
    optimisers = (torch.optim.SGD(net.parameters(), 0.01), None)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimisers[0], 1.0)
    trainer = Trainer(net, arguments, train_dataset=rows, optimizers=(optimisers[0], scheduler))
    trainer.train()
    for key, value in by_hand(5).items():
        assert torch.allclose(net.state_dict()[key], value, rtol=1e-3, atol=1e-4), key
