"""Time of training steps, taken between the moments at which the host looks at the device anyway."""

import time

import torch


class Clock:
    """Seconds of the steps between two looks; the device is waited for at its ends alone."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start()

    def start(self) -> None:
        """Begin a span."""
        self.steps, self.begin = 0, self.now()

    def stop(self, spans: list[list[float]]) -> None:
        """End the span, and keep it where it has steps."""
        if self.steps:
            spans.append([self.now() - self.begin, self.steps])
        self.steps = 0

    def now(self) -> float:
        """Seconds, once what was launched is done."""
        wait(self.device)
        return time.perf_counter()


def wait(device: torch.device | str) -> None:
    """Until an accelerator has done what it was asked for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
