"""BERT: a transformer over the tokens of a text."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from naejax.models.transformer import Block, attention_bias, initial, layer_norm
from naejax.types import BackboneOutput, Numbers


class BERT(nn.Module):
    """Transformer over tokens, with norms after the parts of a block.

    ``norm(words[token] + positions[l] + types[type])`` goes through the blocks; the
    state u of the first token becomes ``tanh(W u + c)``, which the classifier sees.
    As it is: BERT-base.

    Attributes:
        num_outputs: C.
        vocabulary: number of tokens that there are.
        width: width D of the states.
        depth: number of blocks.
        heads: heads of a block's attention.
        mlp: inner width of a block's network.
        positions: the most tokens of a text.
        types: number of token types.
        activation: ``gelu``, ``gelu_tanh`` or ``relu``.
        epsilon: added to the variance by the norms.
        removed: the token whose embedding a removed word gets, as [PAD] or [MASK].

    Example:
        >>> import jax
        >>> model = BERT(3, vocabulary=10, width=8, depth=2, heads=2, mlp=16)
        >>> tokens = jnp.array([[2, 5, 7, 3]])
        >>> run = jax.jit(model.init_with_output)
        >>> output, _ = jax.eval_shape(run, jax.random.key(0), tokens)
        >>> output.scores.shape, output.pooled.shape, output.features.shape
        ((1, 3), (1, 8), (1, 4, 8))

    Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
    Language Understanding", 2019, arXiv 1810.04805.
    """

    num_outputs: int
    vocabulary: int = 30522
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    positions: int = 512
    types: int = 2
    activation: str = "gelu"
    epsilon: float = 1e-12
    removed: int = 0

    @nn.compact
    def __call__(
        self,
        tokens: Numbers,
        types: Numbers | None = None,
        present: Numbers | None = None,
        kept: Numbers | None = None,
    ) -> BackboneOutput:
        """Scores texts.

        Args:
            tokens: ids in the vocabulary, whole numbers (B, L).
            types: type of each token, whole numbers (B, L); None: all 0.
            present: weight of each token in every attention, (B, L): 1, 0 for padding,
                or between; None: all 1.
            kept: how much of each word's embedding stays, in [0, 1], (B, L); the rest
                is the embedding of the token `removed`. None: all.

        Returns:
            Scores, what the classifier sees, and the states of the tokens that enter
            the last block, (B, L, D).

        Raises:
            ValueError: if the texts are longer than `positions`.
        """
        h = self._embed(jnp.asarray(tokens), types, kept)
        bias = None if present is None else attention_bias(present)
        for i in range(self.depth):
            before = h
            block = Block(
                self.heads,
                self.mlp,
                norm_first=False,
                activation=self.activation,
                epsilon=self.epsilon,
                name=f"block_{i}",
            )
            h = block(h, bias)
        init = initial(self.width)
        pooled = nn.Dense(self.width, kernel_init=init, name="pooler")(h[:, 0])
        pooled = nn.tanh(pooled)
        classify = nn.Dense(self.num_outputs, kernel_init=init, name="classifier")
        return BackboneOutput(classify(pooled), pooled, before)

    def _embed(
        self, tokens: Array, types: Numbers | None, kept: Numbers | None
    ) -> Float[Array, "B L D"]:
        """States of the tokens before the first block."""
        length = tokens.shape[1]
        if length > self.positions:
            raise ValueError(
                f"texts have {length} tokens, expected at most {self.positions}; cut "
                "them"
            )
        if types is None:
            types = jnp.zeros_like(tokens)

        def table(rows: int, name: str) -> nn.Embed:
            init = initial(self.width)
            return nn.Embed(rows, self.width, embedding_init=init, name=name)

        look_up = table(self.vocabulary, "words")
        words = look_up(tokens)
        if kept is not None:
            # The usual texts have nothing removed, and then stay exactly as they are.
            share = jnp.asarray(kept, words.dtype)[..., None]
            removed = look_up(jnp.array([[self.removed]]))
            words = share * words + (1 - share) * removed
        h = words + table(self.types, "types")(jnp.asarray(types))
        h = h + table(self.positions, "positions")(jnp.arange(length))[None]
        return layer_norm(self.epsilon, "norm")(h)
