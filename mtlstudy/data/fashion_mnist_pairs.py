"""Fashion+MNIST: a digit on the left, a garment on the right, overlaid; two tasks of different difficulty.

Source: Lin et al., *Pareto Multi-Task Learning*, NeurIPS 2019, arXiv 1912.12854; the images: LeCun et al. 1998 and Xiao et al.
2017, arXiv 1708.07747. Made as `multi_mnist_full` is (see `mtlstudy.data.pairs`).
"""

from mtlstudy.data._hub import pin
from mtlstudy.data.base import registry
from mtlstudy.data.pairs import FASHION_MNIST, MNIST, NOTES, Pairs


@registry.register("fashion_mnist_pairs")
class FashionMnistPairs(Pairs):
    """Tasks digit (left) and garment (right), 10 classes each, inputs (1, 36, 36)."""

    title = "Fashion+MNIST"
    licence = "MNIST: CC BY-SA 3.0; Fashion-MNIST: MIT"
    citation = "LeCun et al. 1998; Xiao et al. 2017; Lin et al., NeurIPS 2019"
    source = "Hugging Face ylecun/mnist, zalando-datasets/fashion_mnist"
    left, right = MNIST, FASHION_MNIST
    sources = (MNIST, FASHION_MNIST)
    hub_id, sha256 = "ylecun/mnist, zalando-datasets/fashion_mnist", pin(MNIST, FASHION_MNIST)
    names = ("digit", "garment")
    notes = NOTES
