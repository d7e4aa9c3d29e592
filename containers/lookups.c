/* Linked into the static binary only. Names of hosts and users are looked up by the C library that is inside: in files, and hosts also by
 * DNS. What else /etc/nsswitch.conf may name are shared libraries of the machine, made for the machine's C library: loading one would
 * abort the program. */
#include <nss.h>

__attribute__((constructor)) static void look_up_without_shared_libraries(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
}
