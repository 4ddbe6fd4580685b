# Builds Android's adbd for this machine from an unpacked android-platform-tools source package.
#   make -f adbd.mk SOURCE=<unpacked source> OUT=<build folder>
# Links against Debian's builds of the libraries it needs.
ARCH := $(shell gcc -print-multiarch 2>/dev/null || echo $(shell uname -m)-linux-gnu)
CORE := $(SOURCE)/system/core
AUTH := $(SOURCE)/frameworks/native/libs/adbd_auth

ADB := adb adb_io adb_listeners adb_trace adb_unique_fd adb_utils fdevent/fdevent fdevent/fdevent_poll \
    fdevent/fdevent_epoll services sockets socket_spec sysdeps/errno sysdeps/posix/network sysdeps_unix transport \
    transport_fd transport_local transport_usb types shell_service_protocol adbconnection/adbconnection_server \
    daemon/auth daemon/jdwp_service daemon/usb_dummy daemon/file_sync_service daemon/services daemon/shell_service \
    daemon/main
SOURCES := $(ADB:%=$(CORE)/adb/%.cpp) $(CORE)/libasyncio/AsyncIO.cpp $(CORE)/diagnose_usb/diagnose_usb.cpp \
    $(AUTH)/adbd_auth.cpp $(CORE)/libcrypto_utils/android_pubkey.c
OBJECTS := $(SOURCES:$(SOURCE)/%=$(OUT)/%.o)

DEFINES := -DADB_HOST=0 -DALLOW_ADBD_NO_AUTH=1 -DALLOW_ADBD_ROOT=0 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DNDEBUG \
    -DADB_VERSION='"$(VERSION)"' -DPLATFORM_TOOLS_VERSION='"$(VERSION)"'
# libcutils before core/include: both have a private/fs_config.h, and the latter's is empty.
INCLUDES := -I$(CORE)/adb -I$(CORE)/adb/daemon/include -I$(CORE)/adb/adbconnection/include -I$(CORE)/base/include \
    -I$(CORE)/libcutils/include -I$(CORE)/include -I$(CORE)/diagnose_usb/include -I$(CORE)/libasyncio/include \
    -I$(CORE)/libcrypto_utils/include -I$(AUTH)/include -I/usr/include/android
# Headers that Android's own C++ library includes by the way.
FORCED := -include atomic -include optional
FLAGS := -O1 -fPIC -w

$(OUT)/adbd: $(OBJECTS)
	clang++ -o $@ $^ -L/usr/lib/$(ARCH)/android -Wl,-rpath=/usr/lib/$(ARCH)/android \
	    -lbase -lcrypto -lcutils -llog -lcap -lresolv -lutil -lpthread

$(OUT)/%.cpp.o: $(SOURCE)/%.cpp
	@mkdir -p $(@D)
	clang++ -std=gnu++2a $(FLAGS) $(DEFINES) $(INCLUDES) $(FORCED) -c -o $@ $<

$(OUT)/%.c.o: $(SOURCE)/%.c
	@mkdir -p $(@D)
	clang $(FLAGS) $(DEFINES) $(INCLUDES) -c -o $@ $<
