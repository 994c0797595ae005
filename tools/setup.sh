# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# What the commands of ./run need on the machine, and how it gets there.  Sourced, never run.
#
# need SET...   installs, through apt, the packages of these sets that are missing.
# need_deps     makes llhttp and yyjson available: as they are, from apt, or by tools/fetch-deps.
# need_venv F   makes .deps/venv hold the Python packages pinned in requirements file F.
#
# Everything is probed for what is used (a command, a pkg-config module), not for a package's name,
# so a machine that has the tool from elsewhere is left as it is, and the second time costs
# milliseconds.  A machine without apt is told what is missing.

deps=$top/.deps
export PKG_CONFIG_PATH=$deps/prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

say() { printf '%s\n' "run: $*" >&2; }
die() { say "$@"; exit 1; }

# One line a package: SET PROBE PACKAGE.  A probe is cmd:NAME, pc:MODULE, or file:PATH.
packages() {
	cat <<-'END'
	build cmd:gcc gcc
	build file:/usr/include/stdio.h libc6-dev
	build cmd:meson meson
	build cmd:ninja ninja-build
	build cmd:pkg-config pkg-config
	build pc:libuv libuv1-dev
	build pc:libfyaml libfyaml-dev
	build pc:libcrypto libssl-dev
	build pc:cmocka libcmocka-dev
	fetch cmd:xz xz-utils
	python cmd:python3 python3
	python py:ensurepip python3-venv
	clients cmd:curl curl
	clang cmd:clang clang
	clang cmd:ld.lld lld
	lint cmd:clang-format clang-format
	lint cmd:clang-tidy clang-tidy
	lint cmd:cppcheck cppcheck
	lint cmd:python3 python3
	fuzz cmd:llvm-symbolizer llvm
	END
}

have() { # PROBE
	case $1 in
	cmd:*) command -v "${1#cmd:}" >/dev/null ;;
	pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
	file:*) [ -e "${1#file:}" ] ;;
	py:*) python3 -c "import ${1#py:}" 2>/dev/null ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

apt_install() { # PACKAGE...
	command -v apt-get >/dev/null || die "missing: $* (Debian's names); this machine has no apt-get, install them and run again"
	can_be_root || die "missing: $*; install them as root, or have sudo, and run again"
	local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0)
	say "installing with apt: $*"
	# The lists may be absent (a fresh container) or older than the mirror: then read them once.
	as_root "${get[@]}" install "$@" >/dev/null 2>&1 && return
	say "reading apt's package lists"
	as_root "${get[@]}" update >&2 || die "apt-get update failed"
	as_root "${get[@]}" install "$@" >&2 || die "apt could not install: $*"
}

need() { # SET...
	local set probe package missing=()
	while read -r set probe package; do
		case " $* " in *" $set "*) ;; *) continue ;; esac
		have "$probe" || missing+=("$package")
	done < <(packages)
	[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# libFuzzer and clang's sanitizers live in a package that carries clang's version in its name.
need_clang_runtime() {
	local version dir
	dir=$(clang -print-resource-dir)
	find "$dir/lib" -name 'libclang_rt.fuzzer*' 2>/dev/null | grep -q . && return
	version=$(clang -dumpversion)
	apt_install "libclang-rt-${version%%.*}-dev"
}

apt_offers() { # PACKAGE VERSION: is the candidate at least that?
	local candidate
	candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
	[ -n "$candidate" ] && [ "$candidate" != "(none)" ] && dpkg --compare-versions "$candidate" ge "$2"
}

need_deps() {
	pkg-config --exists 'libllhttp >= 9.2' 'yyjson >= 0.10' 2>/dev/null && return
	if apt_offers libllhttp-dev 9.2 && apt_offers libyyjson-dev 0.10; then
		apt_install libllhttp-dev libyyjson-dev
	else
		need fetch
		"$top/tools/fetch-deps" "$deps"
	fi
}

need_venv() { # REQUIREMENTS-FILE
	local stamp
	stamp=$deps/venv/.have-$(basename "$1" .txt)-$(cksum <"$1" | cut -d' ' -f1)
	[ -f "$stamp" ] && return
	need python
	[ -x "$deps/venv/bin/pip" ] || python3 -m venv "$deps/venv" || die "python3 -m venv failed"
	say "installing Python packages of ${1#"$top"/} into .deps/venv"
	"$deps/venv/bin/pip" -q --disable-pip-version-check install -r "$1" >&2 || die "pip failed"
	touch "$stamp"
}
