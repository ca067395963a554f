# SPDX-License-Identifier: Apache-2.0
# The sample engine, once with CBLAS attention and once with its own. It knows nothing of LibTensorTap.
option(TENSORTAP_ENGINE_OWN_ATTENTION "tensortap-engine multiplies in attention by its own loops" OFF)

add_executable(tensortap-engine ${ENGINE_SOURCES})
add_executable(tensortap-engine-own ${ENGINE_SOURCES})
target_compile_definitions(tensortap-engine-own PRIVATE TENSORTAP_ENGINE_OWN_ATTENTION)
if(TENSORTAP_ENGINE_OWN_ATTENTION)
    target_compile_definitions(tensortap-engine PRIVATE TENSORTAP_ENGINE_OWN_ATTENTION)
endif()
foreach(engine tensortap-engine tensortap-engine-own)
    # Optimised in every build type: the kernels stay what an engine would ship. No contraction into
    # fused multiply-add, so that the same source gives the same tokens on every machine.
    target_compile_options(${engine} PRIVATE -O2 -ffp-contract=off)
    target_link_libraries(${engine} PRIVATE PkgConfig::OPENBLAS PkgConfig::CJSON m)
endforeach()

file(GLOB MAKER_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../make_model/*.c)
add_executable(tensortap-make-model ${MAKER_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/parts.c
               ${CMAKE_CURRENT_LIST_DIR}/problem.c)
target_include_directories(tensortap-make-model PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(tensortap-make-model PRIVATE m)
