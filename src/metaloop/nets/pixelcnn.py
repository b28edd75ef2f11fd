"""An autoregressive net of images that can look at other images of the same class.

    log p(x | S) = sum over pixels i of log p(x_i | x_<i, S),   pixels row by row from the top left
    h_i = past(x_<i) + place_i + map_i(S) + a(h_i, S),   then layers that see one pixel alone

`past` is one wide masked convolution, and if asked for one of blocks of pixels further up. `map` is
what the images of S have at that place, on average. `a` is attention: what the pixel's past looks
like is compared with what it looks like at near places of every image of S, and what these images
have there, right, left and below, is taken over.
Keys are those of a tile of pixels and a margin around it, so that all is a product of matrices.
Without any support the map is nothing and attention finds nothing.

van den Oord et al. 2016, arXiv:1606.05328 (masked convolutions); Reed et al. 2018,
arXiv:1710.10304 (attention over a support). Differs from both: one layer sees the past, so that a
pixel can be drawn from its surroundings alone, which makes drawing quick.

Shapes: T tasks, S support images of each, Q images of each, I channels, H, W sides, C hidden
channels, A width of all heads, G tiles of an image, K keys of a tile.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.pixels import log_number, num_parameters, pixel_log_prob, pixel_sample
from metaloop.nets.tiles import offsets, untiled, windows

_EXTRA = 4  # numbers of a key that say where it is and whether it is there
_BLOCK = 3  # pixels of a side of what is seen of far away
_FAR = 1e4  # what a key that is not there has less
_SEEN = 32  # channels of what is seen of a support image
_NEAR = 1.0 / 8  # how quickly attention falls with the square of a distance, as it begins

Spot = int | Tensor  # a row or a column, as a tensor `[1]` where it is not known beforehand


class PixelCnn(nn.Module):
    """Logarithms of probabilities of images, and images drawn, given a support.

    `levels`: how many values a channel of a pixel can have. `reach`: how many pixels of the past
    are seen in each direction; `far`: how many blocks of three pixels, above; 0 for none. `margin`:
    how far beyond its tile a pixel finds keys.
    """

    vmappable = False
    before: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        levels: int = 2,
        channels: int = 48,
        depth: int = 2,
        heads: int = 1,
        head_width: int = 28,
        reach: int = 7,
        far: int = 0,
        tile: int = 4,
        margin: int = 3,
    ) -> None:
        super().__init__()
        self.shape, self.levels = tuple(input_shape), levels
        self.reach, self.far_reach, self.tile, self.margin = reach, far, tile, margin
        self.heads, self.head_width = heads, head_width
        images, height, width = input_shape
        attended = heads * head_width
        self.past = nn.Conv2d(images, channels, (reach + 1, 2 * reach + 1))
        before = torch.ones(reach + 1, 2 * reach + 1)
        before[-1, reach:] = 0
        self.register_buffer("before", before)
        self.far: nn.Conv2d | None = None
        if far:
            self.far = nn.Conv2d(images, channels, (far, 2 * far + 1), bias=False)
        self.place = nn.Parameter(torch.zeros(height, width, channels))
        self.see = nn.ModuleList(
            [
                nn.Conv2d(images, _SEEN, 3, padding=1),
                nn.Conv2d(_SEEN, _SEEN, 3, padding=1),
                nn.Conv2d(_SEEN, _SEEN, 3, padding=1),
            ]
        )
        self.map = nn.Linear(2 * _SEEN, channels)
        self.whole = nn.Linear(_SEEN + 1, channels)
        self.keys = nn.Linear(channels + _SEEN, attended)
        self.values = nn.Linear(channels + _SEEN, attended)
        self.queries = nn.Linear(channels, attended)
        self.nearness = nn.Parameter(torch.full((heads,), math.log(math.expm1(_NEAR))))
        self.nothing = nn.Parameter(torch.zeros(heads))
        self.taken = nn.Linear(attended, channels)
        self.layers = nn.ModuleList(
            nn.ModuleList([nn.Linear(channels, channels), nn.Linear(channels, channels)])
            for _ in range(depth)
        )
        self.out = nn.Linear(channels, num_parameters(levels, images))
        with torch.no_grad():
            for layer in self.layers:
                layer[1].weight.mul_(0.5)  # type: ignore[index]
            self.out.weight.mul_(0.1)
            if self.far is not None:
                self.far.weight.zero_()  # what is near tells more at first

    @property
    def own_cost(self) -> tuple[int, int, int]:
        """Numbers in the largest layer, multiply-adds of an image with one of support, features."""
        images, height, width = self.shape
        pixels, channels = height * width, self.place.shape[-1]
        attended = self.heads * self.head_width
        keys = (self.tile + 2 * self.margin) ** 2
        tiles = math.ceil(height / self.tile) * math.ceil(width / self.tile)
        said = num_parameters(self.levels, images)
        past = channels * images * (self.reach + 1) * (2 * self.reach + 1)
        past += 0 if self.far is None else self.far.weight.numel()
        of_support = past + 9 * _SEEN * (images + 2 * _SEEN)
        of_support += 2 * (channels + _SEEN) * attended + 2 * _SEEN * channels
        of_image = past + 2 * channels * attended + 2 * len(self.layers) * channels**2
        of_image += channels * said + 2 * keys * (attended + _EXTRA * self.heads)
        largest = max(
            pixels * max(channels, said, _SEEN, keys),
            tiles * (keys + 1) * (attended + _EXTRA * self.heads),
        )
        return largest, pixels * (of_support + of_image), 1

    def forward(self, *inputs: Any, call: str = "log_prob") -> Any:
        """Returns what the method of that name does; of images alone, their log probabilities."""
        if call == "log_prob" and len(inputs) == 1:
            empty = inputs[0].new_zeros(1, 0, *self.shape)
            return self.log_prob(self.encode(empty), inputs[0].unsqueeze(0))[0].unsqueeze(-1)
        return getattr(self, call)(*inputs)

    def encode(self, support: Tensor) -> dict[str, Tensor]:
        """Returns what is known of each task's support `[T, S, I, H, W]`: map, keys and values."""
        tasks, number = support.shape[:2]
        images = support.flatten(0, 1)
        height, width = self.shape[1:]
        if not number:
            seen = support.new_zeros(tasks, height, width, 0)
            return {"map": support.new_zeros(tasks, height, width, self.place.shape[-1])} | (
                self._keys(seen, seen, tasks, 0)
            )
        first = functional.relu(self.see[0](images))
        seen = first + self.see[2](functional.relu(self.see[1](first)))
        seen = functional.relu(seen).permute(0, 2, 3, 1)  # [TS, H, W, _SEEN]
        known = torch.cat([functional.relu(self._past(images)), seen], -1)
        of_tasks = seen.reshape(tasks, number, *seen.shape[1:])
        mean, most = of_tasks.mean(1), of_tasks.amax(1)
        count = log_number(of_tasks[:, :, 0, 0, 0])
        whole = self.whole(torch.cat([mean.mean((1, 2)), count], -1))
        at_places = self.map(torch.cat([mean, most], -1)) + whole[:, None, None]
        keys, values = self.keys(known), self.values(known)
        return {"map": at_places} | self._keys(keys, values, tasks, number)

    def log_prob(self, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns `[T, Q]`: the logarithm of the probability of each image `[T, Q, I, H, W]`."""
        parameters = self.parameters_of(state, inputs).flatten(0, 1)
        found = pixel_log_prob(parameters, inputs.flatten(0, 1), self.levels)
        return found.view(inputs.shape[:2])

    def parameters_of(self, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns `[T, Q, H, W, P]`: what is said of each pixel of the images."""
        tasks, number = inputs.shape[:2]
        images = inputs.flatten(0, 1)
        hidden = self._past(images).reshape(tasks, number, *self.place.shape) + self.place
        hidden = hidden + state["map"].unsqueeze(1)
        if state["keys"].shape[2] == 1:  # there is nothing to be found
            hidden = hidden + self.taken.bias
        else:
            found = self._attend(self._tiled_queries(hidden), state)
            found = untiled(found, tasks, number, self.shape[1:], self.tile)
            hidden = hidden + self.taken(found)
        return self._said(hidden)

    def loss(self, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns `[T, Q]`: minus the logarithm of the probability."""
        return -self.log_prob(state, inputs)

    def draw(
        self, state: dict[str, Tensor], count: int, rng: torch.Generator, temperature: float
    ) -> Tensor:
        """Returns `[count, I, H, W]` images, drawn pixel by pixel, all side by side.

        Of several tasks each has the same share of them, one task after the other.

        Of two levels, a temperature below 1 sharpens what the support says, and not how much paper
        there is: p(x) (p(x | S) / p(x))^(1 / temperature) at each pixel.
        """
        images, height, width = self.shape
        reach, tile = self.reach, self.tile
        across, tasks = math.ceil(width / tile), len(state["map"])
        each = count // tasks
        weight = (self.past.weight * self.before).flatten(1).t()
        canvas = torch.zeros(count, images, height, width, device=weight.device)
        padded = torch.zeros(count, images, height + reach, width + 2 * reach)
        padded = padded.to(weight.device)
        keys = _by_task(state["keys"], tasks).mT.contiguous()  # [T, G, heads, d, K]
        values = _by_task(state["values"], tasks)
        known = self._known(state)
        guided = self.levels == 2 and temperature < 1 and keys.shape[-1] > 1
        for row in range(height):
            far = self._far_row(canvas, row)
            for column in range(width):
                patch = padded[:, :, row : row + reach + 1, column : column + 2 * reach + 1]
                here = known[:, row, column].repeat_interleave(each, 0)
                hidden = patch.flatten(1) @ weight + (here + far[:, column])
                place = (row // tile) * across + column // tile
                spot = (row % tile, column % tile)
                said = self._said_at(hidden, keys[:, place], values[:, place], spot)
                if guided:
                    shown = state["map"][:, row, column].repeat_interleave(each, 0)
                    free = self._said(hidden - shown + self.taken.bias)
                    said = free + (said - free) / temperature
                cooled = 1.0 if guided else temperature
                drawn = pixel_sample(said, self.levels, images, rng, cooled)
                padded[:, :, row + reach, column + reach] = self._centred(drawn)
            canvas[:, :, row] = padded[:, :, row + reach, reach:-reach]
        return self._levels(canvas)

    def draw_pixel(
        self, state: dict[str, Tensor], images: Tensor, place: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Returns images `[N, I, H, W]` of one task with one more pixel, as `draw` has it.

        `place` `[1]` is which, counted row by row; all before it are there.
        """
        _, height, width = self.shape
        reach, tile = self.reach, self.tile
        row, column = place // width, place % width
        canvas = self._centred(images)
        padded = functional.pad(canvas, (reach, reach, reach, 0))
        patch = padded.index_select(2, row + torch.arange(reach + 1, device=place.device))
        patch = patch.index_select(3, column + torch.arange(2 * reach + 1, device=place.device))
        weight = (self.past.weight * self.before).flatten(1).t()
        here = self._known(state).flatten(1, 2).index_select(1, place)
        here = here + self._far_row(canvas, row).index_select(1, column)
        hidden = patch.flatten(1) @ weight + here[:, 0]
        of_tile = row // tile * math.ceil(width / tile) + column // tile
        keys, values = (state[name].index_select(0, of_tile) for name in ("keys", "values"))
        said = self._said_at(hidden, keys.mT, values, (row % tile, column % tile))
        drawn = pixel_sample(said, self.levels, self.shape[0], rng, 1.0)
        is_here = (torch.arange(height * width, device=place.device) == place).view(height, width)
        return torch.where(is_here, drawn[..., None, None], images)

    def _known(self, state: dict[str, Tensor]) -> Tensor:
        """What is known of each pixel without its past, `[T, H, W, C]`."""
        assert self.past.bias is not None
        return self.past.bias + self.place + state["map"]

    def _said_at(
        self, hidden: Tensor, keys: Tensor, values: Tensor, spot: tuple[Spot, Spot]
    ) -> Tensor:
        """What is said of one pixel, from its tile's keys `[T, heads, d, K]` and values.

        `hidden` `[N, C]` are the images of one task after the other; `spot` is where in its tile.
        """
        queries = self._queries(hidden, *spot)
        queries = _by_task(queries.transpose(0, 1), len(keys)).transpose(1, 2)
        shares = torch.softmax(queries @ keys, -1)  # [T, heads, each, K]
        found = (shares @ values)[..., :-_EXTRA]
        return self._said(hidden + self.taken(found.transpose(1, 2).flatten(0, 1).flatten(1)))

    def _centred(self, images: Tensor) -> Tensor:
        """Ink is one and paper nothing; grey and colours lie around nothing."""
        return images if self.levels == 2 else 2 * images - 1

    def _levels(self, images: Tensor) -> Tensor:
        return images if self.levels == 2 else (images + 1) / 2

    def _past(self, images: Tensor) -> Tensor:
        """What each pixel's past looks like, `[N, H, W, C]`."""
        reach, images = self.reach, self._centred(images)
        padded = functional.pad(images, (reach, reach, reach, 0))
        convolved = functional.conv2d(padded, self.past.weight * self.before, self.past.bias)
        if self.far is not None:
            reach = _BLOCK * self.far_reach
            blocks = functional.pad(_blocks(images), (reach, reach, reach, 0))
            found = functional.conv2d(blocks, self.far.weight, dilation=_BLOCK)
            convolved = convolved + found[:, :, : self.shape[1]]
        return convolved.permute(0, 2, 3, 1)

    def _far_row(self, canvas: Tensor, row: Spot) -> Tensor:
        """What lies above a row of pixels in blocks, all above it drawn: `[N, W, C]`."""
        if self.far is None:
            return canvas.new_zeros(1, self.shape[2], self.place.shape[-1])
        reach = _BLOCK * self.far_reach
        blocks = functional.pad(_blocks(canvas), (reach, reach, reach, 0))
        above = blocks.index_select(2, row + torch.arange(reach, device=blocks.device))
        found = functional.conv2d(above, self.far.weight, dilation=_BLOCK)
        return found[:, :, 0].transpose(1, 2)

    def _said(self, hidden: Tensor) -> Tensor:
        """What is said of each pixel: the parameters of its distribution."""
        for layer in self.layers:
            first, second = layer[0], layer[1]  # type: ignore[index]
            hidden = hidden + second(functional.relu(first(functional.relu(hidden))))
        return self.out(functional.relu(hidden))  # type: ignore[no-any-return]

    def _attend(self, queries: Tensor, state: dict[str, Tensor]) -> Tensor:
        found = functional.scaled_dot_product_attention(
            queries, state["keys"], state["values"], scale=1.0
        )
        return found[..., :-_EXTRA]

    def _keys(self, keys: Tensor, values: Tensor, tasks: int, number: int) -> dict[str, Tensor]:
        """Keys and values `[TG, heads, K, d + extra]` of each tile.

        The last key is that of nothing, whose value is zero. Values are as wide as keys, for torch
        is quick with such alone.
        """
        down, across = (math.ceil(side / self.tile) for side in self.shape[1:])
        tiles, width = down * across, self.head_width
        nothing = torch.zeros(tasks * tiles, self.heads, 1, width + _EXTRA, device=keys.device)
        nothing = nothing + functional.pad(self.nothing.view(1, -1, 1, 1), (width + _EXTRA - 1, 0))
        if not number:
            return {"keys": nothing, "values": torch.zeros_like(nothing)}
        cut = (self.tile, self.margin)
        found = windows(keys, tasks, number, self.heads, *cut)
        there = windows(torch.ones_like(keys[..., :1]), tasks, number, 1, *cut)
        y, x = offsets(*cut, keys.device)
        spots = torch.stack([y, x, -(y.square() + x.square())], -1)
        spots = spots.repeat(number, 1).expand(*found.shape[:3], 3)
        absent = (there - 1) * _FAR
        absent = absent.expand(-1, self.heads, -1, -1)
        return {
            "keys": torch.cat([torch.cat([found, spots, absent], -1), nothing], 2),
            "values": functional.pad(
                windows(values, tasks, number, self.heads, *cut), (0, _EXTRA, 0, 1)
            ),
        }

    def _tiled_queries(self, hidden: Tensor) -> Tensor:
        """Queries `[TG, heads, Q * tile^2, d + extra]` of hidden values `[T, Q, H, W, C]`."""
        tasks, number, height, width, _ = hidden.shape
        tile = self.tile
        queries = self.queries(functional.relu(hidden)) / math.sqrt(self.head_width)
        queries = functional.pad(queries, (0, 0, 0, -width % tile, 0, -height % tile))
        down, across = queries.shape[2] // tile, queries.shape[3] // tile
        queries = queries.view(tasks, number, down, tile, across, tile, self.heads, -1)
        queries = queries.permute(0, 2, 4, 6, 1, 3, 5, 7)  # [T, down, across, heads, Q, t, t, d]
        along = torch.arange(tile, device=hidden.device).float()
        y, x = torch.meshgrid(along, along, indexing="ij")
        spots = self._spots(y, x).view(self.heads, 1, tile, tile, _EXTRA)
        queries = torch.cat([queries, spots.expand(*queries.shape[:-1], _EXTRA)], -1)
        return queries.reshape(tasks * down * across, self.heads, -1, queries.shape[-1])

    def _queries(self, hidden: Tensor, row: Spot, column: Spot) -> Tensor:
        """Queries `[heads, N, d + extra]` of one pixel's hidden values `[N, C]`."""
        queries = self.queries(functional.relu(hidden)) / math.sqrt(self.head_width)
        queries = queries.unflatten(1, (self.heads, -1)).transpose(0, 1)
        like: dict[str, Any] = {"dtype": hidden.dtype, "device": hidden.device}
        y, x = torch.as_tensor(row, **like), torch.as_tensor(column, **like)
        spots = self._spots(y, x).view(self.heads, 1, _EXTRA)
        return torch.cat([queries, spots.expand(*queries.shape[:-1], _EXTRA)], -1)

    def _spots(self, y: Tensor, x: Tensor) -> Tensor:
        """What of a query says where it is, `[heads, *places, extra]`: see `_EXTRA`.

        With that of a key, it is minus the square of their distance times the nearness.
        """
        falls = functional.softplus(self.nearness).view(-1, *[1] * y.dim())
        return torch.stack(
            [2 * falls * y, 2 * falls * x, falls.expand(-1, *y.shape), torch.ones_like(falls * y)],
            -1,
        )


def _by_task(rows: Tensor, tasks: int) -> Tensor:
    """Rows `[T * n, ...]` as `[T, n, ...]`."""
    return rows.reshape(tasks, -1, *rows.shape[1:])


def _blocks(images: Tensor) -> Tensor:
    """The mean of the block of pixels around each pixel."""
    return functional.avg_pool2d(images, _BLOCK, stride=1, padding=_BLOCK // 2)


def pixelcnn(
    input_shape: tuple[int, ...],
    levels: int = 2,
    channels: int = 48,
    depth: int = 2,
    heads: int = 1,
    head_width: int = 28,
    reach: int = 7,
    far: int = 0,
    tile: int = 4,
    margin: int = 3,
) -> nn.Module:
    """Returns a `PixelCnn` for images of this shape."""
    return PixelCnn(
        input_shape, levels, channels, depth, heads, head_width, reach, far, tile, margin
    )
