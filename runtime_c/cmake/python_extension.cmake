# The cffi extension ingot._ingot (out-of-line, API mode, stable ABI), linked with the static runtime.
find_package(Python 3.10 COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.SABIModule)
if(NOT Python_Development.SABIModule_FOUND)
  message(FATAL_ERROR "Python.h was not found: install the Python headers, e.g. `apt install python3-dev`")
endif()

file(GLOB kernel_headers CONFIGURE_DEPENDS "${kernels}/*/*.h")
set(extension_source "${CMAKE_CURRENT_BINARY_DIR}/_ingot.c")
add_custom_command(
  OUTPUT "${extension_source}"
  COMMAND "${Python_EXECUTABLE}" "${root}/bindings/cffi_build.py" "${extension_source}"
  DEPENDS "${root}/bindings/cffi_build.py" include/ingot.h include/ingot_format.h src/direct.h
    src/tune/tune.h ${kernel_headers}
  VERBATIM)
python_add_library(_ingot MODULE USE_SABI 3.10 WITH_SOABI "${extension_source}")
target_include_directories(_ingot PRIVATE src "${kernels}" "${kernels}/common")
target_link_libraries(_ingot PRIVATE ingot_static)

# CMake takes files whose times differ by less than a second as equal: a quick rebuild would link a new extension and
# leave the old one installed.
install(CODE "set(ENV{CMAKE_INSTALL_ALWAYS} 1)")
install(TARGETS _ingot DESTINATION ingot)
# Wheels have no symbolic links: one file, called by its soname.
set_property(TARGET ingot_shared PROPERTY VERSION)
install(TARGETS ingot_shared LIBRARY DESTINATION ingot/lib NAMELINK_SKIP)
install(FILES include/ingot.h DESTINATION ingot/include)
