"""The PyTorch side of benches/clock: computes and times the problem that the bench wrote, in eager mode.

    python benches/pytorch_reference.py FOLDER THREADS

Needs torch, numpy and safetensors. Prints JSON: the median of each case in milliseconds, and the outputs.
"""

import json
import sys
import time
from pathlib import Path

import torch

from pytorch_model import Network, alpha_sigma, clean_values, level_features, load_weights

WARM_UP = 3
MIN_S = 0.25


class Denoiser:
    """Clean tokens from noisy ones, as crates/df_training/src/burn_denoiser.rs."""

    def __init__(self, problem, weights):
        sizes = problem["sizes"]
        names = ("width", "layers", "heads", "channels", "noise_groups", "tokens", "condition_on_clean_values")
        self.network = Network(**{key: sizes[key] for key in names})
        self.condition_on_clean_values = sizes["condition_on_clean_values"]
        load_weights(self.network, weights)
        self.network.eval().requires_grad_(False)
        self.noise_group_of_channel = torch.tensor(problem["noise_group_of_channel"])
        self.schedule, self.objective = problem["schedule"], problem["objective"]

    def amplitudes(self, levels):
        """Per value of a token: `[batch, token, channel]`."""
        return alpha_sigma(levels[..., self.noise_group_of_channel], self.schedule)

    def clean(self, x, levels):
        features = level_features(levels, self.schedule)
        if self.condition_on_clean_values:
            features = torch.cat([features, clean_values(x, levels, self.noise_group_of_channel)], -1)
        prediction = self.network(x, features)
        alpha, sigma = self.amplitudes(levels)
        if self.objective == "x0":
            clean = prediction
        elif self.objective == "v":
            clean = alpha * x - sigma * prediction
        else:
            raise ValueError(f"objective {self.objective}: only x0 and v are compared")
        return torch.where(levels[..., self.noise_group_of_channel] <= 0, x, clean)

    def plain(self, x, levels):
        with torch.inference_mode():
            return self.clean(x, levels)

    def guided(self, x, levels, cotangent):
        x = x.detach().requires_grad_(True)
        clean = self.clean(x, levels)
        (clean * cotangent).sum().backward()
        return clean.detach(), x.grad


def plan(denoiser, x, rows, cotangent, guidance_scale):
    """DDIM (Song et al. 2021, eq. 12) down the rows; a noise group whose level does not change stays."""
    noise_groups = int(denoiser.noise_group_of_channel.max()) + 1
    spread = lambda row: row[None, :, None].expand(x.shape[0], -1, noise_groups)
    for before, after in zip(rows, rows[1:]):
        start, end = spread(before), spread(after)
        if cotangent is None:
            clean = denoiser.plain(x, start)
        else:
            clean, gradient = denoiser.guided(x, start, cotangent)
            clean = clean - guidance_scale * gradient
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.amplitudes(start), denoiser.amplitudes(end)
        noise = (x - alpha * clean) / sigma.clamp_min(1e-12)
        falls = (end < start)[..., denoiser.noise_group_of_channel]
        x = torch.where(falls, alpha_next * clean + sigma_next * noise, x)
    return x


def measure(run):
    for _ in range(WARM_UP):
        run()
    seconds = []
    while sum(seconds) < MIN_S or len(seconds) < 5:
        started = time.perf_counter()
        out = run()
        seconds.append(time.perf_counter() - started)
    return 1e3 * sorted(seconds)[len(seconds) // 2], out


def main():
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    problem = json.loads((folder / "problem.json").read_text())
    denoiser = Denoiser(problem, folder / "weights.safetensors")
    sizes, rows = problem["sizes"], torch.tensor(problem["rows"])
    milliseconds, outputs = [], {}
    for case in problem["cases"]:
        rollouts = case["rollouts"]
        shape = (rollouts, sizes["tokens"], -1)
        x, levels, cotangent = (torch.tensor(case[key]).reshape(shape) for key in ("x", "levels", "cotangent"))
        runs = {
            "plain step": lambda: denoiser.plain(x, levels),
            "guided step": lambda: denoiser.guided(x, levels, cotangent)[1],
            "plain plan": lambda: plan(denoiser, x, rows, None, 0.0),
            "guided plan": lambda: plan(denoiser, x, rows, cotangent, problem["guidance_scale"]),
        }
        for what, run in runs.items():
            name = f"{what}, rollouts {rollouts}"
            elapsed, out = measure(run)
            milliseconds.append((name, elapsed))
            outputs[name] = out.flatten().tolist()
    json.dump({"milliseconds": milliseconds, "outputs": outputs}, sys.stdout)


if __name__ == "__main__":
    main()
