"""Nash bargaining block by block: one game a stage of the backbone, all solved in one batch.

    in every block b:  d_b = Σ_t a_bt g_bt   with   M_b a_b = w / a_b      a (B, K), M (B, K, K)

Every task descends in every block, ⟨g_bt, d_b⟩ = w_t / a_bt > 0, and every block's direction has
length √(Σ w).
Source: this study; the game is that of Navon et al., ICML 2022, arXiv 2202.01017.
"""

from typing import Literal

from mtlstudy.weighting.base import registry
from mtlstudy.weighting.nash import Nash


@registry.register("block_nash")
class BlockNash(Nash):
    """As `Nash`, with one game a shared block; there is no one a_t to scale the heads by."""

    paper = "this study, after Navon et al. 2022"
    per_block = True

    class Options(Nash.Options):
        """As for nash; heads follow their own gradients, the level is that of the parameters."""

        head_gradients: Literal["own"] = "own"
        level: Literal["parameters"] = "parameters"
