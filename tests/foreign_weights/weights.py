"""Saves weights with PyTorch, and the outputs of the same modules. `tests/foreign_weights/main.rs` imports them.

    python tests/foreign_weights/weights.py DIRECTORY

Needs torch; writes own.pt, own.safetensors, reference.ckpt, reference.safetensors and expected.json. The safetensors files are
written by the package of that name where it is installed. Sizes are those of the test. own.pt, reference.ckpt and expected.json
beside this script were made by it (torch 2.9.0), so that tests need no torch.
"""

import json
import math
import pathlib
import struct
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches"))
import pytorch_model

WIDTH, LAYERS, HEADS, TOKENS = 16, 2, 2, 8
FRAME_STACK = 2
# Here: the action (1 channel), then the group `seen` (2 channels). In the reference code: `seen`, then the action.
FRAME_CHANNELS, MODALITIES = 3, 2
CHANNELS = FRAME_STACK * FRAME_CHANNELS
HIDDEN, STEPS = 24, 40
BATCH, LENGTH = 3, 5


class Waves(nn.Module):
    """Sines and cosines of numbers, `[...] -> [..., width]`."""

    def __init__(self, width):
        super().__init__()
        self.half = width // 2

    def forward(self, numbers):
        fall = math.log(10000) / (self.half - 1)
        angles = numbers[..., None] * torch.exp(torch.arange(self.half) * -fall)
        return torch.cat([angles.sin(), angles.cos()], -1)


class Transformer(nn.Module):
    """The reference code's transformer as its checkpoints name it; sequences first, as in the reference code."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0)
        self.transformer = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.init_mlp = nn.Sequential(nn.Linear(CHANNELS + WIDTH // 2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.out = nn.Linear(WIDTH, CHANNELS)

    def forward(self, x, steps, causal):
        """`x`: [token, batch, channel]; `steps`: [token, batch]."""
        length = len(x)
        hidden = self.init_mlp(torch.cat([x, Waves(WIDTH // 2)(steps)], -1))
        hidden = hidden + Waves(WIDTH)(torch.arange(length))[:, None]
        mask = nn.Transformer.generate_square_subsequent_mask(length) if causal else None
        return self.out(self.transformer(hidden, mask=mask, is_causal=causal))


def randomise(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    for name, parameter in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1


def save_safetensors(state, path):
    state = {name: value.contiguous() for name, value in state.items()}
    try:
        from safetensors.torch import save_file
    except ImportError:
        header, data = {}, b""
        for name, value in state.items():
            bytes_ = bytes(value.flatten().view(torch.uint8).tolist())
            header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(bytes_)]}
            data += bytes_
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    else:
        save_file(state, path)


def own(directory):
    network = pytorch_model.Network(WIDTH, LAYERS, HEADS, CHANNELS, FRAME_STACK * MODALITIES, TOKENS)
    randomise(network)
    x, levels = torch.randn(BATCH, LENGTH, CHANNELS), torch.rand(BATCH, LENGTH, FRAME_STACK * MODALITIES)
    with torch.no_grad():
        clean = network(x, pytorch_model.level_features(levels))
    torch.save(network.state_dict(), directory / "own.pt")
    save_safetensors(network.state_dict(), directory / "own.safetensors")
    return {"x": x.flatten().tolist(), "levels": levels.flatten().tolist(), "clean": clean.flatten().tolist()}


def theirs(tokens):
    """Channels of our tokens in their order."""
    frames = tokens.unflatten(-1, (FRAME_STACK, FRAME_CHANNELS))
    return torch.cat([frames[..., 1:], frames[..., :1]], -1).flatten(-2)


def ours(tokens):
    frames = tokens.unflatten(-1, (FRAME_STACK, FRAME_CHANNELS))
    return torch.cat([frames[..., 2:], frames[..., :2]], -1).flatten(-2)


def reference(directory):
    network = Transformer()
    randomise(network)
    network.eval()
    betas = torch.linspace(0.0001, 0.02, STEPS, dtype=torch.float64) * 1000 / STEPS
    signal = torch.cumprod(1 - betas, 0)
    steps = torch.randint(0, STEPS, (BATCH, LENGTH))
    # The level of the cosine schedule with the signal of the step: cos(pi/2 level) = sqrt(signal).
    levels = (torch.acos(signal.sqrt()) / (math.pi / 2)).float()[steps]
    x = torch.randn(BATCH, LENGTH, CHANNELS)
    filled = torch.cat([theirs(x), torch.zeros(BATCH, TOKENS - LENGTH, CHANNELS)], 1).transpose(0, 1)
    filled_steps = torch.cat([steps, torch.full((BATCH, TOKENS - LENGTH), STEPS - 1)], 1).T
    with torch.no_grad():
        clean = ours(network(filled, filled_steps, False).transpose(0, 1)[:, :LENGTH])
        causal = ours(network(filled[:LENGTH], filled_steps[:LENGTH], True).transpose(0, 1))
    state = {f"diffusion_model.model.{name}": value for name, value in network.state_dict().items()}
    state["diffusion_model.betas"] = betas.float()
    state["diffusion_model.alphas_cumprod"] = signal.float()
    state["data_mean"], state["data_std"] = torch.tensor([3.5, 3.25, 0.5]), torch.tensor([1.5, 2.0, 0.75])
    optimiser = torch.optim.AdamW(network.parameters())
    checkpoint = {
        "epoch": 3,
        "global_step": 10,
        "pytorch-lightning_version": "2.1.2",
        "state_dict": state,
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": None, "best_k_models": {}}},
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [],
    }
    torch.save(checkpoint, directory / "reference.ckpt")
    save_safetensors(state, directory / "reference.safetensors")
    levels = levels[..., None].expand(BATCH, LENGTH, FRAME_STACK * MODALITIES)
    return {
        "x": x.flatten().tolist(),
        "levels": levels.flatten().tolist(),
        "clean": clean.flatten().tolist(),
        "causal": causal.flatten().tolist(),
    }


def main():
    directory = pathlib.Path(sys.argv[1])
    torch.manual_seed(1)
    expected = {"own": own(directory), "reference": reference(directory)}
    (directory / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
