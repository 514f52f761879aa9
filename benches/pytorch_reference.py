"""PyTorch's side of benches/clock: the problem that it wrote, computed and timed in the same way, eager.

    python benches/pytorch_reference.py FOLDER THREADS

Needs torch, numpy and safetensors. Prints JSON: the median of each case in milliseconds, and what came out.
"""

import json
import sys
import time
from pathlib import Path

import torch

from pytorch_model import Network, alpha_sigma, known_values, level_features, load_weights

WARM_UP = 3
LEAST_S = 0.25


class Denoiser:
    """Clean tokens from noisy ones, as src/model/network_denoiser.rs."""

    def __init__(self, problem, weights):
        sizes = problem["sizes"]
        names = ("width", "layers", "heads", "channels", "slots", "tokens", "known_values")
        self.network = Network(**{key: sizes[key] for key in names})
        self.known_values = sizes["known_values"]
        load_weights(self.network, weights)
        self.network.eval().requires_grad_(False)
        self.slot_of_channel = torch.tensor(problem["slot_of_channel"])
        self.schedule, self.objective = problem["schedule"], problem["objective"]

    def amplitudes(self, levels):
        """Per value of a token: `[batch, token, channel]`."""
        return alpha_sigma(levels[..., self.slot_of_channel], self.schedule)

    def clean(self, x, levels):
        features = level_features(levels, self.schedule)
        if self.known_values:
            features = torch.cat([features, known_values(x, levels, self.slot_of_channel)], -1)
        prediction = self.network(x, features)
        alpha, sigma = self.amplitudes(levels)
        if self.objective == "x0":
            clean = prediction
        elif self.objective == "v":
            clean = alpha * x - sigma * prediction
        else:
            raise ValueError(f"objective {self.objective}: only x0 and v are compared")
        return torch.where(levels[..., self.slot_of_channel] <= 0, x, clean)

    def plain(self, x, levels):
        with torch.inference_mode():
            return self.clean(x, levels)

    def guided(self, x, levels, cotangent):
        x = x.detach().requires_grad_(True)
        clean = self.clean(x, levels)
        (clean * cotangent).sum().backward()
        return clean.detach(), x.grad


def plan(denoiser, x, rows, cotangent, pull):
    """DDIM (Song et al. 2021, eq. 12) down the rows; a slot whose level does not change stays."""
    slots = int(denoiser.slot_of_channel.max()) + 1
    spread = lambda row: row[None, :, None].expand(x.shape[0], -1, slots)
    for before, after in zip(rows, rows[1:]):
        start, end = spread(before), spread(after)
        if cotangent is None:
            clean = denoiser.plain(x, start)
        else:
            clean, gradient = denoiser.guided(x, start, cotangent)
            clean = clean - pull * gradient
        (alpha, sigma), (alpha_next, sigma_next) = denoiser.amplitudes(start), denoiser.amplitudes(end)
        noise = (x - alpha * clean) / sigma.clamp_min(1e-12)
        falls = (end < start)[..., denoiser.slot_of_channel]
        x = torch.where(falls, alpha_next * clean + sigma_next * noise, x)
    return x


def measure(run):
    for _ in range(WARM_UP):
        run()
    seconds = []
    while sum(seconds) < LEAST_S or len(seconds) < 5:
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
        futures = case["futures"]
        shape = (futures, sizes["tokens"], -1)
        x, levels, cotangent = (torch.tensor(case[key]).reshape(shape) for key in ("x", "levels", "cotangent"))
        runs = {
            "plain step": lambda: denoiser.plain(x, levels),
            "guided step": lambda: denoiser.guided(x, levels, cotangent)[1],
            "plain plan": lambda: plan(denoiser, x, rows, None, 0.0),
            "guided plan": lambda: plan(denoiser, x, rows, cotangent, problem["pull"]),
        }
        for what, run in runs.items():
            name = f"{what}, futures {futures}"
            elapsed, out = measure(run)
            milliseconds.append((name, elapsed))
            outputs[name] = out.flatten().tolist()
    json.dump({"milliseconds": milliseconds, "outputs": outputs}, sys.stdout)


if __name__ == "__main__":
    main()
