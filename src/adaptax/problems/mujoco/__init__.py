"""Locomotion families on MuJoCo's C engine, as pure environments (extra `mujoco`)."""
