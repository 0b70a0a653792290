"""Operations -> what a machine does with them: actions per component, and time.

Machines as data stand on the ground (`architecture`, `mesh`), `execution` on top. No energy in here.
"""
