"""IP folders: a design with all that an engineer expects beside it.

package.py                     the folder, whole or not there
interface.py                   ports and registers, the one list for all that follows
wrapper.py                     the top module, under names that tools know
bench.mk, cocotb_registers.py  the bench that stands alone, beside ../cocotb_stream.py
software.py, driver.py         C header and Python driver
ipxact.py, vendors.py          IP-XACT; FuseSoC, Vivado, constraints
readme.py                      what people read first
LICENSE                        the repository's, for what is copied into a folder
"""

from bitwright.rtl_tb.ip.package import Ip, write_ip
from bitwright.rtl_tb.ip.readme import About, Verified

__all__ = ["About", "Ip", "Verified", "write_ip"]
