# SPDX-License-Identifier: Apache-2.0
# Mutation loops over parsers of foreign bytes, always with sanitizers, whatever the preset: each program
# compiles the parsers that it tests once more. Short in every run, long on demand (ctest -L long).
set(FUZZ_SANITIZERS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

file(GLOB FUZZ_MODEL_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/analyzer/model/*.c
     ${PROJECT_SOURCE_DIR}/analyzer/base/error.c ${PROJECT_SOURCE_DIR}/analyzer/base/json.c
     ${PROJECT_SOURCE_DIR}/analyzer/base/text.c)
add_executable(model_fuzz ${CMAKE_CURRENT_LIST_DIR}/model_fuzz.c ${FUZZ_MODEL_SOURCES})
target_include_directories(model_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/analyzer ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(model_fuzz PRIVATE _GNU_SOURCE XXH_INLINE_ALL)
target_compile_options(model_fuzz PRIVATE ${FUZZ_SANITIZERS})
target_link_options(model_fuzz PRIVATE ${FUZZ_SANITIZERS})
target_link_libraries(model_fuzz PRIVATE PkgConfig::CJSON PkgConfig::ZLIB m)
add_test(NAME fuzz.model COMMAND model_fuzz 6000)
set_tests_properties(fuzz.model PROPERTIES LABELS short)
add_test(NAME fuzz.model_long COMMAND model_fuzz 1000000 7)
set_tests_properties(fuzz.model_long PROPERTIES LABELS long TIMEOUT 3600)
