"""Times a training step in PyTorch (eager): the other side of benches/training.rs. Needs torch only.

    pytorch_training.py SHAPE WARM FUSED    SHAPE as JSON; {"step_s", "batch_s"} as JSON, medians without the first WARM steps

A step is that of crates/df_training: windows, levels and noise to a batch, forward, backward, clipping by the norm, AdamW,
moving average of the weights. FUSED: 1 for the fused AdamW, 0 for the default of PyTorch.
"""

import json
import os
import sys
import time

import torch

from pytorch_model import Network, alpha_sigma, level_features, loss

# The shipped contract: channels and modalities of a frame, frames of a token; settings of config/point_maze.yaml.
CHANNELS, MODALITIES, STACK = 6, 3, 8
FRAMES = 24_000
RATE, WARM_UP, DECAY, CLIP, EMA, SNR_CLIP = 1e-3, 500, 0.01, 1.0, 0.999, 5.0


def make_batch(frames, batch, tokens):
    """Noisy windows, level features, target (v) and weights (min-SNR). As crates/df_training/src/batch.rs, on whole tensors."""
    first = torch.randint(len(frames) - tokens * STACK, (batch, 1))
    clean = frames[first + torch.arange(tokens * STACK)].view(batch, tokens, STACK * CHANNELS)
    # A level per token and modality, behind a clean history.
    levels = torch.rand(batch, tokens, 1, MODALITIES).expand(-1, -1, STACK, -1).clone()
    levels[:, 0] = 0
    levels = levels.view(batch, tokens, STACK * MODALITIES)
    of_channel = lambda groups: groups.repeat_interleave(CHANNELS // MODALITIES, -1)
    alpha, sigma = alpha_sigma(levels)
    snr = (alpha / sigma).square()
    weight = torch.where(levels > 0, (snr.clamp(max=SNR_CLIP) + 1) / (snr + 1), 0.0)
    alpha, sigma, weight = of_channel(alpha), of_channel(sigma), of_channel(weight)
    noise = torch.randn_like(clean)
    features = level_features(levels)
    return alpha * clean + sigma * noise, features, alpha * noise - sigma * clean, weight / weight.sum()


def main(shape, warm, fused):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    torch.manual_seed(0)
    sizes = {key: shape[key] for key in ("width", "layers", "heads", "tokens")}
    network = Network(channels=STACK * CHANNELS, noise_groups=STACK * MODALITIES, **sizes)
    weights = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimiser = torch.optim.AdamW(weights, lr=RATE, eps=1e-8, weight_decay=DECAY, fused=fused or None)
    frames = torch.randn(FRAMES, CHANNELS)
    steps, batches = [], []
    for step in range(1, shape["steps"] + 1):
        start = time.perf_counter()
        batch = make_batch(frames, shape["batch"], shape["tokens"])
        made = time.perf_counter()
        optimiser.param_groups[0]["lr"] = RATE * min(1, step / WARM_UP)
        optimiser.zero_grad()
        value = loss(network, *batch)
        if not torch.isfinite(value).item():
            sys.exit(f"the loss is {value} at step {step}")
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - min(EMA, (1 + step) / (10 + step)))
        steps.append(time.perf_counter() - start)
        batches.append(made - start)
    median = lambda values: sorted(values[warm:])[len(values[warm:]) // 2]
    json.dump({"step_s": median(steps), "batch_s": median(batches)}, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1")
