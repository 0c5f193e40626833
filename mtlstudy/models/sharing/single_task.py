"""Single-task learning: nothing is shared, every task has a copy of each stage. The baseline.

Source: Caruana, *Multitask Learning*, Machine Learning 28, 1997, doi 10.1023/A:1007379606734.

    ŷ_t = h_t ∘ f_L^t ∘ … ∘ f_1^t (x)                      x (N, …), ŷ_t (N, outputs_t)

The K copies are trained side by side: an optimiser such as Adam, which treats every parameter by
itself, then does to each copy exactly what it would do if trained by itself.
"""

from mtlstudy.models.sharing.base import Partitioned, registry


@registry.register("single_task")
class SingleTask(Partitioned):
    """K trunks, K heads; no block to bargain over."""

    paper = "Caruana 1997"
    independent = True
    bargains = False
