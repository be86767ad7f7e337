"""The IP-XACT description of an IP (IEEE 1685-2014): interfaces, registers, ports and files.

The order of elements is the schema's; tests validate the text against it. Buses have the names of
Arm's own definitions (amba.com, AMBA4), whose abstractions have clock and reset among their ports.
"""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from bitwright.rtl_tb.design import Design
from bitwright.rtl_tb.ip.interface import (
    CLOCK,
    LICENCE,
    RESET,
    Bus,
    Port,
    Register,
    ip_name,
    ports,
    registers,
)

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"

_BUSES: Mapping[Bus, tuple[str, str, str]] = {
    "s_axis": ("AXI4Stream", "r0p0_1", "slave"),
    "m_axis": ("AXI4Stream", "r0p0_1", "master"),
    "s_axi": ("AXI4-Lite", "r0p0_0", "slave"),
}
_MAP = "registers"
# The schema has no place for a licence.
_TOLD = """Quantised neural network, graph {digest}, made by bitwright; library cells: {licence}"""

FileSets = Mapping[str, Sequence[tuple[str, str]]]
"""Paths and IP-XACT's file types, by the name of the set."""


def component(
    design: Design,
    digest: str,
    version: str,
    facts: Mapping[str, str | int | float],
    files: FileSets,
) -> str:
    """The text of component.xml. facts: its parameters. files: of which the first set is RTL."""
    register_namespace("ipxact", NAMESPACE)
    root = Element(_tag("component"))
    root.set(f"{{{_SCHEMA}}}schemaLocation", f"{NAMESPACE} {NAMESPACE}/index.xsd")
    name, known = ip_name(design), ports(design)
    for tag, text in (("vendor", "bitwright"), ("library", "ip"), ("name", name)):
        _add(root, tag, text)
    _add(root, "version", version)
    interfaces = _add(root, "busInterfaces")
    for bus in _BUSES:
        _bus_interface(interfaces, bus, known)
    _memory_map(_add(root, "memoryMaps"), registers(design, digest))
    _model(_add(root, "model"), name, known, list(files), design)
    sets = _add(root, "fileSets")
    for label, members in files.items():
        one = _add(sets, "fileSet")
        _add(one, "name", label)
        for path, kind in members:
            file = _add(one, "file")
            _add(file, "name", path)
            _add(file, "fileType", kind)
    _add(root, "description", _TOLD.format(digest=digest, licence=LICENCE))
    parameters = _add(root, "parameters")
    for key, value in facts.items():
        kind = {str: "string", int: "longint", float: "real"}[type(value)]
        parameter = _add(parameters, "parameter", parameterId=key, type=kind, resolve="immediate")
        _add(parameter, "name", key)
        _add(parameter, "value", f'"{value}"' if isinstance(value, str) else str(value))
    indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _bus_interface(parent: Element, bus: Bus, known: Sequence[Port]) -> None:
    protocol, version, mode = _BUSES[bus]
    arm = {"vendor": "amba.com", "library": "AMBA4", "version": version}
    one = _add(parent, "busInterface")
    _add(one, "name", bus)
    _add(one, "busType", **arm, name=protocol)
    kind = _add(_add(one, "abstractionTypes"), "abstractionType")
    _add(kind, "abstractionRef", **arm, name=f"{protocol}_rtl")
    maps = _add(kind, "portMaps")
    mapped = [("ACLK", CLOCK), ("ARESETn", RESET)]
    mapped += [(port.signal, port.name) for port in known if port.bus == bus]
    for logical, physical in mapped:
        pair = _add(maps, "portMap")
        _add(_add(pair, "logicalPort"), "name", logical)
        _add(_add(pair, "physicalPort"), "name", physical)
    interface = _add(one, mode)
    if bus == "s_axi":
        _add(interface, "memoryMapRef", memoryMapRef=_MAP)


def _memory_map(parent: Element, known: Sequence[Register]) -> None:
    one = _add(parent, "memoryMap")
    _add(one, "name", _MAP)
    block = _add(one, "addressBlock")
    for tag, text in (("name", _MAP), ("baseAddress", "0"), ("range", "64"), ("width", "32"),
                      ("usage", "register"), ("access", "read-write")):  # fmt: skip
        _add(block, tag, text)
    for register in known:
        word = _add(block, "register")
        _add(word, "name", register.name)
        _add(word, "description", register.note)
        _add(word, "addressOffset", f"'h{register.offset:x}")
        _add(word, "size", "32")
        _add(word, "access", register.access)
        field = _add(word, "field")
        _add(field, "name", "value")
        _add(field, "bitOffset", "0")
        if register.value is not None:
            _add(_add(_add(field, "resets"), "reset"), "value", f"'h{register.value:x}")
        _add(field, "bitWidth", "32")
        _add(field, "access", register.access)
    _add(one, "addressUnitBits", "8")


def _model(
    model: Element, name: str, known: Sequence[Port], sets: Sequence[str], design: Design
) -> None:
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "rtl")
    _add(view, "envIdentifier", ":*Simulation:")
    _add(view, "envIdentifier", ":*Synthesis:")
    _add(view, "componentInstantiationRef", "rtl")
    instance = _add(_add(model, "instantiations"), "componentInstantiation")
    for tag, text in (("name", "rtl"), ("language", "verilog"), ("moduleName", name)):
        _add(instance, tag, text)
    _add(_add(instance, "fileSetRef"), "localName", sets[0])
    listed = _add(model, "ports")
    for port in known:
        one = _add(listed, "port")
        _add(one, "name", port.name)
        if port.note:
            _add(one, "description", port.note)
        wire = _add(one, "wire")
        _add(wire, "direction", port.direction)
        if port.width > 1:
            vector = _add(_add(wire, "vectors"), "vector")
            _add(vector, "left", str(port.width - 1))
            _add(vector, "right", "0")
        if port.name == CLOCK and design.plan is not None:
            period = 1000 / design.plan.clock_mhz
            driver = _add(_add(_add(wire, "drivers"), "driver"), "clockDriver", clockName=CLOCK)
            for tag, number in (("clockPeriod", period), ("clockPulseOffset", 0.0)):
                _add(driver, tag, f"{number:.6g}", units="ns")
            _add(driver, "clockPulseValue", "1")
            _add(driver, "clockPulseDuration", f"{period / 2:.6g}", units="ns")


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    one = SubElement(parent, _tag(tag), attributes)
    one.text = text
    return one


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
