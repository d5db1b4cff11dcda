"""A corpus of rendered talking heads whose best possible prediction is known in closed form.

    cues ──▶ people ──▶ voice, face ──▶ render ──▶ corpus

Import from the modules: this file stays empty so that a rendering process need not load torch.
"""
