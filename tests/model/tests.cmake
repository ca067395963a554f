# SPDX-License-Identifier: Apache-2.0
# Model files against the libraries that write them.
add_test(NAME model.decode_gguf
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/decode_gguf.py $<TARGET_FILE:model_files_test>)
set_tests_properties(model.decode_gguf PROPERTIES LABELS short SKIP_RETURN_CODE 77)
