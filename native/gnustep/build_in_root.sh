#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds GNUstep's Foundation. Runs as root in the root that build.py makes, which is thrown away afterwards: /applevz has the
# sources, and gets in `output` what the wheel and its build take:
#
#   include/        GNUstep's headers
#   lib/            libgnustep-base.so and libobjc.so.4, to link with
#   system-root/    headers and libraries of the system, to compile and link against with --sysroot
#   licenses/       the texts that come with what is in lib/
set -eu

cd /applevz
output=/applevz/output
gcc=$(dirname "$(gcc -print-libgcc-file-name)")
libraries=/usr/lib/$(gcc -print-multiarch)
rm -rf "$output"
mkdir -p "$output/lib" "$output/licenses"

# What is linked is a part of the library: the one file of libffi that may be, which is position-independent.
rm "$libraries/libffi.so" "$libraries/libffi.a"
cp "$libraries/libffi_pic.a" "$libraries/libffi.a"

tar xf gnustep-make.tar.gz
tar xf gnustep-base.tar.gz
mv gnustep-make-* make
mv gnustep-base-* base

(
    cd make
    ./configure --prefix=/applevz/tools --with-layout=gnustep --with-library-combo=gnu-gnu-gnu \
        --disable-importing-config-file CC=gcc
    make install
)
set +u
. /applevz/tools/System/Library/Makefiles/GNUstep.sh
set -u

cd base
for patch in ../*.patch; do
    patch -p1 <"$patch"
done
# No file of the user's or of the system's changes what it does, and what applevz has no use for is left out. iconv, of the C
# library, stays: texts in UTF-16 take it.
./configure --disable-importing-config-file --disable-environment-config-file \
    --with-config-file=/nonexistent/applevz/GNUstep.conf --disable-icu --disable-tls --disable-zeroconf --disable-xml \
    --disable-xslt --disable-libdispatch
# The library alone; its tools would take what was left out. Its own names are its own, whoever else has them.
make -C Source -j "$(nproc)" debug=no OPTFLAG="-Os -fstack-protector-strong -D_FORTIFY_SOURCE=2" \
    ADDITIONAL_LDFLAGS="-Wl,-Bsymbolic,-O1,--exclude-libs,ALL,-z,relro"
make -C Source install debug=no DESTDIR=/applevz/installed

cp -R /applevz/installed/applevz/tools/Local/Library/Headers "$output/include"
cp Source/obj/libgnustep-base.so.*.*.* "$output/lib/libgnustep-base.so"
cp -L "$libraries/libobjc.so.4" "$output/lib/libobjc.so.4"
strip --strip-unneeded "$output"/lib/*
cp COPYING.LIB "$output/licenses/GNUstep-LGPL.txt"
cp /usr/share/common-licenses/GPL-3 "$output/licenses/libobjc-GPL-3.txt"
cp /usr/share/doc/libobjc4/copyright "$output/licenses/libobjc-copyright.txt"
cp /usr/share/doc/libffi-dev/copyright "$output/licenses/libffi-copyright.txt"
dpkg-query --show --showformat='${source:Package} ${source:Version}\n' libobjc4 libffi-dev >"$output/licenses/packages.txt"

# What is linked against, without what is only run.
mkdir -p "$output/system-root/usr"
cd "$output/system-root"
ln -s usr/lib lib
mkdir -p usr/lib64 ".$libraries" ".$gcc"
ln -s usr/lib64 lib64
cp -R /usr/include usr/
cp -L "$libraries"/*.o "$libraries"/*.a "$libraries"/lib*.so* ".$libraries/"
# There unless the release has merged it with the other.
cp -L "${libraries#/usr}"/lib*.so* ".$libraries/"
cp -L "$gcc"/*.o "$gcc"/*.a "$gcc"/*.so ".$gcc/"
cp -R "$gcc/include" ".$gcc/"
# Where the processor's ABI has the program loader.
for loader in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do
    [ ! -e "$loader" ] || cp -L "$loader" "usr$(dirname "$loader")/"
done
rm -f ".$gcc"/libobjc* ".$libraries"/libffi*
