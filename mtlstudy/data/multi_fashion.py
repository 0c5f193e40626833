"""Multi-Fashion: two garments of Fashion-MNIST overlaid; the tasks are to name the left and the right one.

Source: Lin et al., *Pareto Multi-Task Learning*, NeurIPS 2019, arXiv 1912.12854; the images: Xiao et al. 2017, arXiv 1708.07747.
Made as `multi_mnist_full` is (see `mtlstudy.data.pairs`).
"""

from mtlstudy.data._hub import pin
from mtlstudy.data.base import registry
from mtlstudy.data.pairs import FASHION_MNIST, NOTES, Pairs


@registry.register("multi_fashion")
class MultiFashion(Pairs):
    """Tasks left and right, 10 classes each, inputs (1, 36, 36)."""

    title = "Multi-Fashion"
    licence = "Fashion-MNIST: MIT"
    citation = "Xiao et al. 2017; Lin et al., NeurIPS 2019"
    source = "Hugging Face zalando-datasets/fashion_mnist"
    left = right = FASHION_MNIST
    sources = (FASHION_MNIST,)
    hub_id, sha256 = "zalando-datasets/fashion_mnist", pin(FASHION_MNIST)
    notes = NOTES
