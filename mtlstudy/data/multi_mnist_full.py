"""Multi-MNIST at full size: two of MNIST's 70,000 digits overlaid; the tasks are to read the left and the right one.

Source: Sener & Koltun, NeurIPS 2018, arXiv 1810.04650 (see `mtlstudy.data.pairs`). Training pairs are of 50,000 training images,
validation pairs of the other 10,000, test pairs of MNIST's own test images.
"""

from mtlstudy.data._hub import pin
from mtlstudy.data.base import registry
from mtlstudy.data.pairs import MNIST, NOTES, Pairs


@registry.register("multi_mnist_full")
class MultiMnistFull(Pairs):
    """Tasks left and right, 10 classes each, inputs (1, 36, 36)."""

    title = "Multi-MNIST"
    licence = "MNIST: CC BY-SA 3.0"
    citation = "LeCun et al. 1998; Sabour et al., NeurIPS 2017; Sener & Koltun, NeurIPS 2018"
    source = "Hugging Face ylecun/mnist"
    left = right = MNIST
    sources = (MNIST,)
    hub_id, sha256 = "ylecun/mnist", pin(MNIST)
    notes = NOTES
