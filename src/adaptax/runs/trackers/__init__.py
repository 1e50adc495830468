"""Where a run is logged to beside its metrics: TensorBoard, and what `--log` names. Conveniences: none stops a run."""
