"""The sentences our users type: one thin script an experiment."""

import warnings

from experiments.support.garbage import search_seldom

# sacred 0.8.7 imports pkg_resources, about which setuptools warns every user on every start.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
search_seldom()
