# SPDX-License-Identifier: Apache-2.0
# Whole engines. Python tests skip (77) where torch or transformers is missing; TENSORTAP_PYTHON names an
# interpreter that has them.
if(NOT TENSORTAP_PYTHON)
    find_program(TENSORTAP_PYTHON NAMES python3 HINTS ${PROJECT_SOURCE_DIR}/.cache/venv/bin NO_DEFAULT_PATH)
    find_program(TENSORTAP_PYTHON NAMES python3)
endif()

add_test(NAME engines.engine_hf
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/engine_hf.py
                 $<TARGET_FILE:tensortap-engine> $<TARGET_FILE:tensortap-make-model>)
set_tests_properties(engines.engine_hf PROPERTIES LABELS medium SKIP_RETURN_CODE 77
                     ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1")

foreach(engine tensortap-engine tensortap-engine-own)
    add_test(NAME engines.faults_change.${engine}
             COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/engine_faults.sh
                     $<TARGET_FILE:${engine}> $<TARGET_FILE:tensortap-make-model>)
    set_tests_properties(engines.faults_change.${engine} PROPERTIES LABELS short)
endforeach()

add_test(NAME engines.engine_input
         COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/engine_input.sh
                 $<TARGET_FILE:tensortap-engine> $<TARGET_FILE:tensortap-make-model>)
set_tests_properties(engines.engine_input PROPERTIES LABELS short)

# Engines that were not made for this project: they run the same under the tap, and every product is captured.
foreach(case llama_eager llama_sdpa llama_batch minilm numpy_wheel numpy_debian exit_status without_products)
    add_test(NAME engines.traced.${case}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/real_engines.py ${case})
    set_tests_properties(engines.traced.${case} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

foreach(case llama minilm)
    add_test(NAME engines.hf_reference.${case}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/hf_reference_test.py ${case})
    set_tests_properties(engines.hf_reference.${case} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

# What the command says of them.
foreach(case llama_verify llama_batch_verify llama_batch_reference llama_sdpa_verify llama_reference llama_wrong_reference llama_hooks minilm_verify minilm_transposed)
    add_test(NAME engines.verified.${case}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/verified_engines.py ${case})
    set_tests_properties(engines.verified.${case} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

# A llama in numpy with other habits, right and wrong.
foreach(case layouts attention orders faults)
    add_test(NAME engines.habits.${case}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/numpy_habits.py ${case})
    set_tests_properties(engines.habits.${case} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "OPENBLAS_NUM_THREADS=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

# The reference engine against transformers, in f64 and f32: a group of families a test.
foreach(group llama qwen gemma gpt cohere others experts routed latent special)
    add_test(NAME engines.families.${group}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/families.py ${group})
    set_tests_properties(engines.families.${group} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

add_test(NAME engines.embed_scale COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/embed_scale.py)
set_tests_properties(engines.embed_scale PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")

# The same for families that transformers does not have, written in PyTorch from their published definitions.
add_test(NAME engines.published_families
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/published_families.py)
set_tests_properties(engines.published_families PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")

# Routers, shared experts and limits that go wrong, and right ones.
foreach(family mixtral qwen2_moe gpt_oss deepseek_v3)
    add_test(NAME engines.expert_faults.${family}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/expert_faults.py ${family})
    set_tests_properties(engines.expert_faults.${family} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()

# Experts in every form in which files hold them.
add_test(NAME engines.expert_files COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/expert_files.py)
set_tests_properties(engines.expert_files PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")

# Every family under PyTorch and transformers: right models are silent, a weight in the wrong place is named.
set(traced_llamas llama3 mistral qwen2 qwen3 olmo2 granite)
set(traced_gemmas gemma gemma2 gemma3 gemma3n nanochat)
set(traced_others cohere cohere2 phi3 gpt2 gpt_neox bloom mpt olmo3 smollm3 glm4)
set(traced_experts mixtral qwen2_moe qwen3_moe gpt_oss deepseek_v2 deepseek_v3)
set(traced_batches mistral.batch gemma3.batch gpt_oss.batch)
foreach(group llamas gemmas others experts)
    add_test(NAME engines.traced_families.${group}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/traced_families.py ${traced_${group}})
    list(TRANSFORM traced_${group} APPEND .swapped OUTPUT_VARIABLE swapped)
    add_test(NAME engines.traced_families.${group}_swapped
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/traced_families.py ${swapped})
    set_tests_properties(engines.traced_families.${group} engines.traced_families.${group}_swapped PROPERTIES
        LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()
add_test(NAME engines.traced_families.batches
         COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/traced_families.py ${traced_batches})
set_tests_properties(engines.traced_families.batches PROPERTIES LABELS medium SKIP_RETURN_CODE 77
    ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")

# Faults in families, planted one at a time: named by place and cause, nothing beside them.
foreach(group rope latent norms wiring attention experts)
    add_test(NAME engines.family_faults.${group}
             COMMAND ${TENSORTAP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/family_faults.py ${group})
    set_tests_properties(engines.family_faults.${group} PROPERTIES LABELS medium SKIP_RETURN_CODE 77
        ENVIRONMENT "HF_HUB_OFFLINE=1;OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1;TENSORTAP_BUILD=${CMAKE_BINARY_DIR};TENSORTAP_PYTHON=${TENSORTAP_PYTHON}")
endforeach()
