"""The network, as torch trains it: an encoder in both directions, a decoder that looks at all of what was read
(attention). What it would write is searched for by ``runtime.Translator``.

    source -> encoder -> memory           symbols before -> first layer -> h
                           `----- attention of h -----> context -> further layers, with h -> output

What was attended to goes into the layers above the first one and into the output, and not back into the first: so a
layer reads all symbols of a target in one call, and training runs on whole sequences (Luong et al., 2015; Wu et al.,
2016). Fed back into the first layer, it would have to run a step at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import dropout

from .... import layers
from ...data.vocabulary import END, UNKNOWN
from .config import TranslateConfig

State = list[Any]
"""Of each layer of the decoder what it carries on: a tensor (1, M, H), of an LSTM two of them."""


class Memory(NamedTuple):
    """What the encoder made of N sources of up to T symbols."""

    values: Tensor  # (N, T, 2*H)
    keys: Tensor  # (N, T, H)
    padding: Tensor  # (N, 1, T): what is behind a row's end


class Network(nn.Module):
    """Writes one of ``targets`` symbols after another, by what it has read of ``sources`` different ones."""

    def __init__(self, sources: int, targets: int, config: TranslateConfig) -> None:
        super().__init__()
        cell, width = getattr(layers, config.cell.upper()), config.units
        self.dropout, self.lstm = config.dropout, config.cell == "lstm"
        self.read, self.written = (nn.Embedding(n, config.embedding) for n in (sources, targets))
        between = config.dropout if config.layers > 1 else 0.0
        self.encoder = cell(config.embedding, width, config.layers, bidirectional=True, dropout=between)
        self.bridge = nn.Linear(2 * width, config.layers * width)
        first, above = cell(config.embedding, width), [cell(3 * width, width) for _ in range(1, config.layers)]
        self.decoder = nn.ModuleList([first, *above])
        self.keys = nn.Linear(2 * width, width, bias=False)
        additive = config.attention == "additive"
        self.query = nn.Linear(width, width) if additive else None
        self.energy = nn.Linear(width, 1, bias=False) if additive else None
        self.combine = nn.Linear(3 * width, config.embedding)
        self.output = nn.Linear(config.embedding, targets)
        self.output.weight = self.written.weight
        for embedding in (self.read, self.written):
            nn.init.normal_(embedding.weight, std=config.embedding**-0.5)
        nn.init.zeros_(self.output.bias)

    def forward(self, source: Tensor, lengths: Tensor, before: Tensor, counts: Tensor, forced: float = 1.0) -> Tensor:
        """Logits (S, V) of what follows each of the symbols ``before`` (T, N), of which ``counts`` (N,) are there.

        ``source`` is (T', N), of which ``lengths`` (N,) are there; both of these on the CPU. In training a share
        ``1 - forced`` of the symbols before is replaced by what the network itself would have written there.
        """
        memory, state = self.encode(source, lengths)
        if self.training and forced < 1:
            before = self._mixed(memory, state, before, counts, forced)
        steps, _, _ = self.decode(memory, before, state, counts)
        there = torch.arange(len(before), device=steps.device)[:, None] < counts.to(steps.device)
        logits: Tensor = self.output(steps[there])
        return logits

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """What there is to look at, and the decoder's first state, of ``source`` (T, N) and ``lengths`` (N,)."""
        steps, last = self.encoder(self._dropped(self.read(source)), lengths=lengths)
        final = last[0] if self.lstm else last
        h = self.bridge(torch.cat((final[-2], final[-1]), 1)).tanh().unflatten(1, (len(self.decoder), -1))
        state = [each[None].contiguous() for each in h.unbind(1)]
        values = self._dropped(steps).transpose(0, 1).contiguous()
        padding = torch.arange(len(source), device=source.device) >= lengths.to(source.device)[:, None]
        return Memory(values, self.keys(values), padding[:, None]), [
            (each, torch.zeros_like(each)) if self.lstm else each for each in state
        ]

    def decode(
        self, memory: Memory, before: Tensor, state: State, counts: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor]:
        """What the output reads (T, M, E) after each of ``before`` (T, M), the state, and the attention (N, T*B, T').

        M is N or a multiple of it, B * N, where several targets of each source are looked at, row b*N + n of source n.
        """
        more = {} if counts is None else {"lengths": counts}
        x, after = self._dropped(self.written(before)), []
        x, last = self.decoder[0](x, state[0], **more)
        after.append(last)
        query = x.reshape(-1, len(memory.values), x.shape[-1]).transpose(0, 1)  # (N, T*B, H)
        attention = self._scores(query, memory.keys).masked_fill(memory.padding, -torch.inf).softmax(-1)
        context = (attention @ memory.values).transpose(0, 1).reshape(*x.shape[:2], -1)  # (T, M, 2*H)
        for layer, carried in zip(self.decoder[1:], state[1:], strict=True):
            y, last = layer(torch.cat((self._dropped(x), context), 2), carried, **more)
            x = x + y
            after.append(last)
        read = self.combine(torch.cat((self._dropped(x), context), 2)).tanh()
        return self._dropped(read), after, attention

    @torch.no_grad()
    def attention(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float32]:
        """How much each symbol of ``target`` (T,), its end the last, looks at each of ``source`` (T',): (T, T')."""
        memory, state = self.encode(torch.from_numpy(source)[:, None], torch.tensor([len(source)]))
        found: NDArray[np.float32] = self.decode(memory, torch.from_numpy(target).roll(1)[:, None], state)[2][0].numpy()
        return found

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """How well each of ``query`` (N, Q, H) fits each of ``keys`` (N, T, H): (N, Q, T)."""
        if self.query is None or self.energy is None:
            return query @ keys.transpose(1, 2) * float(keys.shape[2] ** -0.5)
        scores: Tensor = self.energy((self.query(query)[:, :, None] + keys[:, None]).tanh())
        return scores.squeeze(-1)

    @torch.no_grad()
    def _mixed(self, memory: Memory, state: State, before: Tensor, counts: Tensor, forced: float) -> Tensor:
        """``before`` (T, N) with a share replaced by what is drawn from the network after the true symbols before.

        All of them at once, as in parallel scheduled sampling (Duckworth et al., 2019), instead of step by step.
        """
        logits = self.output(self.decode(memory, before, state, counts)[0]).float()
        drawn = logits.softmax(-1).flatten(0, 1).multinomial(1).view_as(before).roll(1, 0)
        replaced = (torch.rand(before.shape, device=before.device) >= forced) & (drawn != END) & (drawn != UNKNOWN)
        replaced[0] = False
        return torch.where(replaced, drawn, before)

    def _dropped(self, x: Tensor) -> Tensor:
        """``x`` (T, N, F) with units dropped, in training: of a row the same ones in all steps."""
        if not self.training or not self.dropout:
            return x
        return x * dropout(x.new_ones(1, *x.shape[1:]), self.dropout)
