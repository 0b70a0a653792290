"""Keep run.py out of the wheel: it sets a checkout up and has no use in an installed package."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithoutRunner(build_py):
    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[:2] != ("spikejoule", "run")]


setup(cmdclass={"build_py": BuildWithoutRunner})
