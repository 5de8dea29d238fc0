# The part of Zephyr's build system that the module and its sample use, on a host.
project(zephyr_stub C)

add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_LIST_DIR}/include)
add_executable(app)
target_link_libraries(app zephyr_interface)

file(STRINGS ${CMAKE_SOURCE_DIR}/prj.conf settings)
foreach(setting ${settings})
  string(REPLACE "=" ";" pair ${setting})
  list(GET pair 0 symbol)
  list(GET pair 1 value)
  set(${symbol} ${value})
endforeach()

function(zephyr_include_directories)
  foreach(folder ${ARGN})
    target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
  endforeach()
endfunction()

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  target_link_libraries(${name} zephyr_interface)
  target_link_libraries(app ${name})
endmacro()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

foreach(module ${EXTRA_ZEPHYR_MODULES})
  file(STRINGS ${module}/zephyr/module.yml cmake REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" cmake ${cmake})
  add_subdirectory(${module}/${cmake} ${CMAKE_BINARY_DIR}/module)
endforeach()
