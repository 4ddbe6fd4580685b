"""Train a torch module of your own federatedly, in floats and with INT8 on the wire."""

from contextlib import closing

import torch
from torch import nn

from fl_sim.config import Config
from fl_sim.data.digits import load_digits
from fl_sim.engine import open_engine
from fl_sim.float32.module import module_model
from fl_sim.run import rounds, work_of
from fl_sim.server import first_server
from fl_sim.setting import make_setting


class Residual(nn.Module):
    """A network with batch normalisation and a shortcut, which no description of layers has."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.last = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = torch.max_pool2d(x + self.second(x), 2)
        return self.last(x.flatten(1))


digits = load_digits()
model = module_model(Residual, digits)
print(f"{model.name}: {model.parameters} numbers in {len(model.layers)} tensors")
for method in ("floatfl", "quanfl"):
    config = Config(
        method=method, partition="iid", clients=20, cohort=10, rounds=20, learning_rate="0.05", batch_size=10
    )
    setting = make_setting(config, digits, model=model)
    with closing(open_engine("eager", work_of(setting))) as engine:
        for done in rounds(setting, engine, first_server(setting)):
            if done.row.fp32_accuracy > 0.8:
                break
    kilobytes = done.row.upload_bytes / done.row.clients / 1000
    print(
        f"{setting.method.title}: above 80 % after round {done.row.round}, {kilobytes:.1f} kB up for a client and round"
    )
