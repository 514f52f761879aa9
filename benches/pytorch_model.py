"""The native network (crates/df_training/src/native_network.rs) in PyTorch, of plain `nn` parts.

Both sides of a comparison compute it. Parameters have the names of the native network, so a safetensors file made by either
side loads into the other. It is for comparison and import, not for planning.
"""

import math

import torch
from torch import nn
from torch.nn import functional

# As in crates/df_engine/src/network_config.rs: level, alpha, sigma and "known" per noise group; width of the MLP in widths of
# the network. As in native_network.rs: standard deviation of the initial position embedding.
FEATURES_PER_NOISE_GROUP = 4
MLP_EXPANSION = 4
POSITION_STD = 0.02
# As in crates/df_diffusion/src/noise_schedule.rs: ends of the linear schedule's beta and of the sigmoid.
BETA = (0.1, 20.0)
SIGMOID_END = 3.0


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_up = nn.Linear(width, MLP_EXPANSION * width)
        self.mlp_down = nn.Linear(MLP_EXPANSION * width, width)

    def forward(self, x):
        x = x + self.attend(self.attention_norm(x))
        return x + self.mlp_down(functional.relu(self.mlp_up(self.mlp_norm(x))))

    def attend(self, x):
        batch, tokens, width = x.shape
        # [batch, token, 3 * width] -> 3 times [batch, head, token, width / heads]
        split = self.query_key_value(x).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.attention_out(attended.transpose(1, 2).reshape(batch, tokens, width))


class Network(nn.Module):
    """Sizes as in NetworkConfig; starts by predicting zero."""

    def __init__(self, width, layers, heads, channels, noise_groups, tokens, condition_on_clean_values=False):
        super().__init__()
        self.values = nn.Linear(channels, width)
        self.levels = nn.Linear(noise_groups * FEATURES_PER_NOISE_GROUP + (channels if condition_on_clean_values else 0), width)
        self.in_proj = nn.Linear(width, width)
        self.position = nn.Parameter(torch.randn(tokens, width) * POSITION_STD)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, channels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x, features):
        """The prediction, [batch, token, channel].

        `x`: [batch, token, channel]; `features`: level_features, followed by clean_values with condition_on_clean_values.
        """
        hidden = self.in_proj(functional.silu(self.values(x) + self.levels(features))) + self.position[: x.shape[1]]
        for block in self.blocks:
            hidden = block(hidden)
        return self.output(self.norm(hidden))


def alpha_sigma(levels, schedule="cosine"):
    """Signal and noise amplitude of levels in [0, 1], exact at both ends."""
    level = levels.double()
    if schedule == "cosine":
        alpha, sigma = torch.cos(level * math.pi / 2), torch.sin(level * math.pi / 2)
    else:
        if schedule == "linear":
            signal = lambda s: torch.exp(-(BETA[0] * s + 0.5 * (BETA[1] - BETA[0]) * s * s))
        elif schedule == "sigmoid":
            signal = lambda s: torch.sigmoid(SIGMOID_END * (1 - 2 * s))
        else:
            raise ValueError(f"schedule {schedule}: not one of cosine, linear, sigmoid")
        first, last = signal(torch.zeros(()).double()), signal(torch.ones(()).double())
        squared = ((signal(level) - last) / (first - last)).clamp(0, 1)
        alpha, sigma = squared.sqrt(), (1 - squared).sqrt()
    clean, noise = level <= 0, level >= 1
    alpha = torch.where(clean, 1.0, torch.where(noise, 0.0, alpha))
    sigma = torch.where(clean, 0.0, torch.where(noise, 1.0, sigma))
    return alpha.float(), sigma.float()


def level_features(levels, schedule="cosine"):
    """[batch, token, noise_group] -> [batch, token, noise_group * 4]: level, alpha, sigma and "known" of each group."""
    alpha, sigma = alpha_sigma(levels, schedule)
    return torch.stack([levels, alpha, sigma, (levels <= 0).float()], -1).flatten(-2)


def clean_values(x, levels, noise_group_of_channel):
    """[batch, token, channel]: x where its noise group is known, else 0; constants, so without a gradient."""
    return torch.where(levels[..., noise_group_of_channel] <= 0, x.detach(), 0.0)


def loss(network, noisy, features, target, weight):
    """The training loss: squared errors of the target by their weights, which sum to 1."""
    error = network(noisy, features) - target
    return (error * error * weight).sum()


def load_weights(network, path):
    """Loads a safetensors file of PyTorch's names and layout, or of Burn's (`gamma`, `beta`, matrices `[in, out]`)."""
    from safetensors.torch import load_file

    state = load_file(path)
    if any(name.endswith(".gamma") for name in state):
        linear = {name for name, part in network.named_modules() if isinstance(part, nn.Linear)}
        renamed = {}
        for name, value in state.items():
            part, _, kind = name.rpartition(".")
            kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
            value = value.T.contiguous() if part in linear and kind == "weight" else value
            renamed[f"{part}.{kind}" if part else kind] = value
        state = renamed
    network.load_state_dict(state)


def save_weights(network, path):
    """Writes a safetensors file of PyTorch's names and layout."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
