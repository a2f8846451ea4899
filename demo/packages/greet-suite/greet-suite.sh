#!/bin/sh
# Greets with every program there is.
set -eu
name=${1:?usage: greet-suite NAME}
greet "$name"
shout "$name"
parrot "$name"
