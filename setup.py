"""Keep run.py and this file out of the wheel: they set a checkout up and have no use in an installed package."""

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithoutRunner(build_py):
    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        own = {("spikejoule", "run"), ("spikejoule", "setup")}
        return [module for module in modules if module[:2] not in own]


setup(cmdclass={"build_py": BuildWithoutRunner})
