# Run by scripts/build, and by the tests with their own Python: builds into the folder $1. POSIX sh.
#
# What it builds contains what git tracks, and the player's libraries from npm. The same commit gives the same wheel.
set -eu
cd "$(dirname "$0")/.."
target=$1
python -m project.local.frontend

# Building in the checkout would add files that git ignores, and those of earlier builds.
source=$(mktemp -d .local/build.XXXXXX)
trap 'rm -rf "$source"' EXIT
git ls-files -z -- tasks setup.py pyproject.toml README.md LICENSE \
    | xargs -0 cp --parents --target-directory "$source"
cp -R .local/frontend/static "$source/tasks/static/batchreel/vendor"

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
python -m build --no-isolation --outdir "$target" "$source" >"$source/build.log" 2>&1 || {
    cat "$source/build.log" >&2
    exit 1
}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' tasks/__init__.py)
wheel=$target/batchreel-$version-py3-none-any.whl
check-wheel-contents "$wheel"
twine check --strict "$wheel" "$target/batchreel-$version.tar.gz"
