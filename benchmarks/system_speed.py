"""Time the networks of ``benchmarks/results/systems.csv`` anew, or those without a speed.

Speed does not depend on weights: every network is built as it starts training, but for those that
search in what they learned, which need their weights. PyTorch in float32, tiling included; nothing
else should run: ``python benchmarks/system_speed.py --missing``.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import torch
from facts import Facts, read_facts, write_facts
from results_page import FACTS, OUTPUT, RESULTS, write_table
from systems import DOMAINS, ROOT, WHOLE, Built, timed

from monai_sr.core.devices import hardware
from monai_sr.core.errors import SRError
from monai_sr.evaluation import multiply_adds_per_pixel
from monai_sr.inferers import TiledInferer
from monai_sr.networks import Generator, load_weights
from monai_sr.networks.systems import create_network, list_systems, weights_file
from monai_sr.upscaling.super_resolver import inference_config

_TIMED = "timed on"


def network_of(line: Facts) -> Generator:
    """Build the network of a line: a system, or a bundle's own of the size in its name."""
    name, _, face = line.system.partition(", ")
    if name not in list_systems():
        options = {"size": "fast" if face == "fast" else "best", "scale": line.scale}
        network: Generator = inference_config(name, options).get_parsed_content("network_def")
        return network.eval()
    file, (channels, _) = list_systems()[name], DOMAINS[line.domain]
    network = create_network("", system=file, system_scale=line.scale, in_channels=channels)
    if network.info.learns == "fit":
        folder = ROOT / "bundles" / f"{line.domain}_sr" / "models"
        load_weights(network, str(weights_file(folder, system=file, scale=line.scale)))
    return network.eval()


def timed_anew(line: Facts, tile_size: int) -> Facts:
    """Return the line with its speed on this machine."""
    network, device = network_of(line), torch.device("cpu")
    side = WHOLE if network.info.is_local else tile_size
    inferer = TiledInferer(line.scale, tile_size=side, consistency=0, clip=None)
    built = Built(Path(line.system), line.scale, network, None, inferer, device)
    speed, note = timed(built, multiply_adds_per_pixel(network, line.scale))
    others = [part for part in line.note.split("; ") if part and not part.startswith(_TIMED)]
    return dataclasses.replace(
        line,
        output_mp_per_s=speed,
        threads=torch.get_num_threads(),
        device=hardware(device),
        note="; ".join(dict.fromkeys(filter(None, [note, *others]))),
    )


def main() -> None:
    """Time, print and keep, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--systems", nargs="+", help="names in the table (default: all)")
    parser.add_argument("--domain", help="natural, xray, ... (default: all)")
    parser.add_argument("--missing", action="store_true", help="only lines without a speed")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--tile-size", type=int, default=256, help="of what sees whole images")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for line in read_facts(RESULTS / FACTS):
        is_meant = options.systems is None or line.system in options.systems
        is_meant &= options.domain in (None, line.domain)
        if not is_meant or (options.missing and not math.isnan(line.output_mp_per_s)):
            continue
        try:
            new = timed_anew(line, options.tile_size)
        except SRError as error:
            print(f"left out: {line.system} {line.domain} x{line.scale}: {error}")
            continue
        print(f"{new.system} {new.domain} x{new.scale}: {new.output_mp_per_s:.4g} MP/s")
        write_facts(RESULTS / FACTS, [new])
    write_table(RESULTS, OUTPUT)


if __name__ == "__main__":
    main()
