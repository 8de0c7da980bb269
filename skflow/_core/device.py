"""Where torch computes."""

import torch


def is_available(device):
    return torch.device(device).type != "cuda" or torch.cuda.is_available()


def check_device(device):
    try:
        known = torch.device(device)
        if known.type not in ("cpu", "cuda"):
            raise RuntimeError("only these two kinds are supported")
        if known.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("this machine has no CUDA device that torch can use")
        torch.zeros(1, device=known).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = "it is no name of a device" if "device string" in str(error) else error
        raise ValueError(
            f"device={device!r} cannot be used: {str(reason).splitlines()[0]}. Use 'cpu' or, on a "
            "machine with a GPU, 'cuda'."
        ) from None
    return known
