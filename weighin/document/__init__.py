"""Documents from the record: a model card, a validation report, and a bill of materials. No number is computed here.

`material` reads what the documents are made of, and refuses what does not hold. `contents` says which section has
which name in SR 11-7 and in Annex IV of the EU AI Act; `purpose`, `findings` and `governance` fill them with `blocks`,
which `markdown` and `page` render. `model_card` and `ml_bom` have forms of their own. `write` puts all of it on disk.
"""
