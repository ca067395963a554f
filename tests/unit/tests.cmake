# SPDX-License-Identifier: Apache-2.0
# Every *_test.c is a program linked with the analyzer; every *_test.py and *.sh is run as it is, with
# TENSORTAP_BUILD naming the build folder and, for Python, TENSORTAP_PYTHON an interpreter with numpy, torch,
# safetensors and gguf where there is one (77: skipped without).
if(NOT TENSORTAP_PYTHON)
    find_program(TENSORTAP_PYTHON NAMES python3 HINTS ${PROJECT_SOURCE_DIR}/.cache/venv/bin NO_DEFAULT_PATH)
    find_program(TENSORTAP_PYTHON NAMES python3)
endif()

file(GLOB UNIT_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*_test.c)
foreach(source ${UNIT_SOURCES})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE tensortap-analyzer)
    add_test(NAME unit.${name} COMMAND ${name})
    set_tests_properties(unit.${name} PROPERTIES LABELS short SKIP_RETURN_CODE 77)
endforeach()

# What Python tests ask the reader of model files with, here and in tests/model.
add_executable(model_dump ${CMAKE_CURRENT_LIST_DIR}/model_dump.c)
target_link_libraries(model_dump PRIVATE tensortap-analyzer)

file(GLOB UNIT_SCRIPTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*_test.py ${CMAKE_CURRENT_LIST_DIR}/*.sh)
foreach(script ${UNIT_SCRIPTS})
    get_filename_component(name ${script} NAME)
    if(name MATCHES "[.]py$")
        set(interpreter ${TENSORTAP_PYTHON})
    else()
        set(interpreter bash)
    endif()
    add_test(NAME unit.${name} COMMAND ${interpreter} ${script})
    set_tests_properties(unit.${name} PROPERTIES LABELS short SKIP_RETURN_CODE 77
        ENVIRONMENT "TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()
